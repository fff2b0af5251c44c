"""An idle daemon becomes a new, small process with the same number, port and device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from waiting import PATIENCE, until

from glihamba.daemon import renewal
from glihamba.daemon.renewal import Handover
from glihamba.engine.device import Device
from glihamba_client.client import Client, call
from glihamba_proto import endpoint as record
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.messages import Note

pytestmark = pytest.mark.skipif(not renewal.IS_POSSIBLE, reason="this system cannot replace a process")

# As `glihamba serve`, but it does not wait for long.
SCRIPT = """
from glihamba import cli
from glihamba.daemon import renewal
renewal.QUIET_SECONDS = 0.5
cli.main(["serve", "--idle-exit", "1e5"])
"""
SMALL = 120  # megabytes


@pytest.fixture
def process(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A daemon's process."""
    monkeypatch.setenv("GLIHAMBA_UNLOAD_MINUTES", "0.02")
    monkeypatch.setenv("GLIHAMBA_DEFAULT_MODEL", "statistics")
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as begun:
        yield begun
        begun.kill()


def endpoint_after(home: Path, instance: str = "") -> Endpoint:
    def found() -> Endpoint | None:
        endpoint = record.read(home / "run" / "endpoint.json")
        return endpoint if endpoint and endpoint.instance != instance else None

    return until(found)


def events(home: Path) -> list[str]:
    lines = (home / "logs" / "daemon.log").read_text("utf-8").splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_it_is_small_then_and_works_as_before(
    process: subprocess.Popen[str], home: Path, said: SimpleNamespace
) -> None:
    first = endpoint_after(home)
    peer = said.Peer(f"127.0.0.1:{first.port}", first.token)
    wanted, device = peer.harmonize(said.plain_job()).data, peer.info().device
    peer.channel.close()
    second = endpoint_after(home, first.instance)
    assert (second.pid, second.port) == (first.pid, first.port) == (process.pid, first.port)
    assert second.token != first.token
    peer = said.Peer(f"127.0.0.1:{second.port}", second.token)
    until(lambda: peer.info().instance == second.instance)
    assert peer.info().device == device, "it is known without PyTorch"
    measured = psutil.Process(process.pid)
    libraries = {Path(each.path).name for each in measured.memory_maps()}
    assert not any(name.startswith("libtorch") for name in libraries)
    assert measured.memory_info().rss / 1e6 < SMALL
    until(lambda: peer.harmonize(said.plain_job()).data == wanted)
    peer.channel.close()
    # It has PyTorch again, so it becomes small again, and nothing of the processes before is left in it.
    third = endpoint_after(home, second.instance)
    until(lambda: measured.num_fds() <= 20)
    peer = said.Peer(f"127.0.0.1:{third.port}", third.token)
    peer.shutdown()
    output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output.count("is ready")) == (0, 1)
    assert events(home).count("the idle daemon becomes a new process") == 2


def test_it_gets_ready_when_an_editor_asks_for_models(
    start: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    """A person opens the docker, and the picture comes a little later."""
    daemon = start(daemon={"before": Handover(0, 31 * 60)}, default_model="statistics")
    assert not daemon.runner.loaded
    assert connect(daemon).models()
    until(lambda: daemon.runner.loaded)
    daemon.tick()
    assert daemon.runner.loaded, "it counts as use"


def test_the_first_process_is_ready_by_itself(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    daemon = start(default_model="statistics")
    assert connect(daemon).models()
    assert daemon.runner._warming is None


def test_a_client_of_the_process_before_finds_the_new_one(
    process: subprocess.Popen[str], home: Path, said: SimpleNamespace
) -> None:
    first = endpoint_after(home)
    peer = said.Peer(f"127.0.0.1:{first.port}", first.token)
    assert peer.harmonize(said.plain_job()).end
    second = endpoint_after(home, first.instance)
    info = until(lambda: _info(second))
    assert info.instance == second.instance
    assert process.poll() is None


def _info(endpoint: Endpoint) -> Any:
    return call(Client(endpoint).info)


def test_its_idle_time_goes_on(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """It ends as long after the last job as it would have ended without a new process."""
    daemon = start(daemon={"before": Handover(0, 31 * 60)})
    assert daemon.tick(30)
    assert daemon.handover().idle_seconds > 31 * 60
    connect(daemon).info()
    until(lambda: not daemon.tick(30))
    assert daemon.handover().idle_seconds < 31 * 60


def test_a_handover_comes_as_it_was_given() -> None:
    given = Handover(4711, 612.5, Device("cuda", "NVIDIA H200", Note("NOTICE.GPU_FAILS", {"reason": "x"})))
    script = (
        "from glihamba.daemon import renewal; from glihamba.daemon.renewal import Handover, Device\n"
        "from glihamba_proto.messages import Note\n"
        "import os, sys\n"
        "found = renewal.taken()\n"
        "if found: print(found == GIVEN, renewal.VARIABLE in os.environ)\n"
        "else: renewal.replace_process(GIVEN)\n"
    ).replace("GIVEN", repr(given))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '["a", 2, null]', '[1, 2, ["cpu"]]', "7"])
def test_a_damaged_handover_is_none(text: str) -> None:
    environment = {renewal.VARIABLE: text}
    assert renewal.taken(environment) is None
    assert not environment


def test_a_daemon_with_tls_stays(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = start(unload_minutes=0)
    monkeypatch.setattr(renewal, "QUIET_SECONDS", 0)
    monkeypatch.setattr(renewal, "is_large", lambda: True)
    assert not daemon.is_spent(), "PyTorch may be loading: no device is known yet"
    daemon.runner.device()
    until(daemon.is_spent)
    daemon.tls_port = 1
    assert not daemon.is_spent()


def test_a_daemon_in_use_stays(
    start: Callable[..., Any], connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = start(unload_minutes=0)
    monkeypatch.setattr(renewal, "is_large", lambda: True)
    connect(daemon).info()
    assert daemon.runner.known_device()
    assert not daemon.is_spent(), "a call has just been answered"
    monkeypatch.setattr(renewal, "QUIET_SECONDS", 0)
    until(daemon.is_spent)
    job = daemon.jobs.reserve(lambda: None)
    assert not daemon.is_spent()
    daemon.jobs.release(job)
    until(daemon.is_spent)
    with daemon.calls._counted():
        assert not daemon.is_spent()
    assert os.getpid() == daemon.endpoint.pid
