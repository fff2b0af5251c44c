"""The launcher against real processes: `glihamba serve`, stale files, and commands that fail."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glihamba_client import launcher
from glihamba_client.client import Client, Task, call
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane
from glihamba_client.service import DaemonService
from glihamba_proto import endpoint, places

SERVE = [sys.executable, "-m", "glihamba", "serve", "--device", "cpu"]
PATIENCE = 3600.0  # seconds; pytest's limit is shorter
Make = Callable[..., Capture]

pytestmark = pytest.mark.usefixtures("own_home")


def connect(command: list[str] | None = None, **options: Any) -> endpoint.Endpoint:
    return call(lambda: launcher.connect(command, **options))


def failure(command: list[str] | None = None, **options: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        connect(command, **options)
    return caught.value


def is_alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # our own child, already dead
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def gone(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


def leave_endpoint(**changes: Any) -> Path:
    """An endpoint file as a daemon that was killed leaves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    values = {"host": "127.0.0.1", "port": port, "token": "t" * 32, "pid": 2**30, "instance": "gone"}
    path = places.endpoint_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**values, "version": "0.1.0", "protocol": 1, "started": 0.0, **changes}))
    return path


def test_started_once_then_found(make_capture: Make) -> None:
    stages: list[str] = []
    first = connect(SERVE, report=lambda progress: stages.append(progress.stage))
    assert stages == ["CONNECTING", "STARTING"]
    assert connect(SERVE) == first
    if os.name == "posix":  # in a session of its own, so that signals for the editor do not reach it
        assert os.getsid(first.pid) != os.getsid(0)
    os.kill(first.pid, signal.SIGTERM)
    assert gone(first.pid)
    assert call(launcher.running) is None


def test_two_launchers_one_daemon() -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: connect(SERVE), range(3)))
    assert len({each.pid for each in found}) == 1


def as_from_afar(found: endpoint.Endpoint, capture: Capture) -> Task[Harmonized]:
    """A job for a daemon that is reached as if it were on another machine."""

    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(replace(found, instance="", pid=0)).harmonize(capture, report=task.report)

    return Task(work)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_daemon_killed_in_the_middle(make_capture: Make) -> None:
    """The client notices at once, starts another daemon, and the person gets the result."""
    service, first = DaemonService(command=SERVE), connect(SERVE)
    pid = first.pid
    task = service.start(make_capture(6000, 4000))
    deadline = time.monotonic() + PATIENCE
    while task.progress().stage not in ("LOADING_MODEL", "PREPARING", "PREDICTING") and not task.wait(0.005):
        assert time.monotonic() < deadline
    afar = as_from_afar(first, make_capture())
    while afar.progress().stage != "QUEUED" and not afar.wait(0.005):
        assert time.monotonic() < deadline
    os.kill(pid, signal.SIGKILL)
    while task.progress().stage != "AGAIN" and not task.wait(0.005):
        assert time.monotonic() < deadline
    assert task.result().plane.width == 6000
    with pytest.raises(ClientError) as caught:
        afar.result()
    assert caught.value.code == "DAEMON_LOST"
    said = caught.value.sentence("en")
    assert said.startswith(f"The remote daemon at {first} ended in the middle of the job or went silent")
    assert gone(pid)
    found = endpoint.read(places.endpoint_file())
    assert found is not None
    assert found.pid != pid


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 1}', '{"host": 1, "port": "x"}', "\0\0\0"])
def test_a_garbled_endpoint_file_counts_as_none(text: str) -> None:
    leave_endpoint().write_text(text)
    assert endpoint.read(places.endpoint_file()) is None
    assert call(launcher.running) is None


def test_a_stale_endpoint_file_counts_as_none() -> None:
    leave_endpoint()
    assert endpoint.read(places.endpoint_file()) is not None
    assert call(launcher.running) is None


def test_another_daemon_at_the_old_port(daemon: Any) -> None:
    """Another daemon, with another token, has the port now. It is not ours."""
    leave_endpoint(port=daemon.port)
    assert call(launcher.running) is None
    leave_endpoint(port=daemon.port, token=daemon.token)
    assert call(launcher.running) is None
    leave_endpoint(port=daemon.port, token=daemon.token, instance=daemon.instance)
    assert call(launcher.running) is not None


def test_a_daemon_that_cannot_start_is_quoted() -> None:
    error = failure([sys.executable, "-c", "raise SystemExit('no torch here')", "--"])
    assert error.code == "START_FAILED"
    log = places.data_folder() / "logs" / "launch.log"
    assert error.sentence("en") == (
        f"The daemon did not start: no torch here. Run “glihamba doctor”; the log is {log}."
    )
    assert log.read_text().strip() == "no torch here"


def test_why_a_daemon_cannot_start_is_said_in_the_editor_s_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GLIHAMBA_RUNTIME_DIR", str(tmp_path / "file"))
    error = failure([sys.executable, "-m", "glihamba", "serve"])
    assert error.code == "START_FAILED"
    assert error.sentence("de").startswith(
        f"Der Dienst ist nicht gestartet: Der Ordner {tmp_path / 'file'} ist nicht benutzbar ("
    )
    assert error.sentence("en").startswith(
        f"The daemon did not start: The folder {tmp_path / 'file'} can't be used ("
    )
    monkeypatch.setenv("GLIHAMBA_THREADS", "many")
    assert "GLIHAMBA_THREADS muss eine ganze Zahl von 0 bis 1024 sein" in failure(
        [sys.executable, "-m", "glihamba", "serve"]
    ).sentence("de")


def test_a_command_that_does_not_exist() -> None:
    error = failure([str(places.data_folder() / "nowhere")])
    assert error.code == "START_FAILED"
    assert "No such file" in error.sentence("en") or os.name != "posix"


def test_a_daemon_that_never_answers() -> None:
    error = failure([sys.executable, "-c", "import time; time.sleep(3)", "--"], limit=1.0)
    assert error.code == "START_SLOW"
    assert "within 1 seconds" in error.sentence("en")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows cannot stop a process for a while")
def test_a_frozen_daemon_is_named_and_replaced() -> None:
    found = connect(SERVE)
    os.kill(found.pid, signal.SIGSTOP)
    file = places.endpoint_file()
    endpoint.write(file, replace(found, started=time.time() - 1))
    assert not launcher._is_frozen(endpoint.read(file)), "it may still read its libraries"
    endpoint.write(file, replace(found, started=time.time() - 3600))
    error = failure(SERVE)
    assert error.code == "DAEMON_FROZEN"
    assert error.sentence("en") == (
        f"The daemon (process {found.pid}) runs but does not answer. “glihamba restart” replaces it."
    )
    program = [sys.executable, "-m", "glihamba"]
    stopped = subprocess.run([*program, "stop"], capture_output=True, text=True)
    assert f"process {found.pid}" in stopped.stderr
    asked = subprocess.run([*program, "restart"], input="n\n", capture_output=True, text=True)
    assert asked.returncode == 130
    assert is_alive(found.pid), "the person did not agree"
    done = subprocess.run([*program, "restart", "--yes", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    new = call(launcher.running)
    assert new is not None
    assert json.loads(done.stdout) == {"pid": new.pid}
    assert gone(found.pid)
    again = subprocess.run([*program, "restart", "--json"], capture_output=True, text=True)
    assert json.loads(again.stdout)["pid"] != new.pid, "one that answers is ended first"
    call(Client(connect(SERVE)).shutdown)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a network of its own needs Linux and root"
)
def test_a_machine_without_loopback_is_told_so_at_once() -> None:
    apart = ["unshare", "--net"]
    error = failure([*apart, *SERVE])
    assert error.code == "START_FAILED"
    assert "The daemon can't be reached at 127.0.0.1:" in error.sentence("en")
    assert "bring the loopback interface up" in error.sentence("en")
    assert "Der Dienst ist unter 127.0.0.1:" in error.sentence("de")
    assert endpoint.read(places.endpoint_file()) is None


def test_starting_can_be_cancelled() -> None:
    service = DaemonService(command=[sys.executable, "-c", "import time; time.sleep(5)", "--"])
    plane = Plane(1, 1, "uint8", "gray", b"1")
    running = service.start(Capture(plane, plane))
    while running.progress().stage != "STARTING":
        time.sleep(0.01)
    running.cancel()
    assert running.wait(PATIENCE)
    with pytest.raises(ClientError) as caught:
        running.result()
    assert caught.value.code == "CANCELLED"


def test_how_the_daemon_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure()
    assert error.code == "NOT_INSTALLED"
    assert error.sentence("en").endswith("Run install.py, then try again.")
    note = places.data_folder() / "daemon.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"command": [sys.executable, "-m", "glihamba", "serve"]}))
    assert launcher.installed_command() == [sys.executable, "-m", "glihamba", "serve"]
    note.write_text(json.dumps({"command": [str(tmp_path / "removed"), "serve"]}))
    with pytest.raises(ClientError):
        launcher.installed_command()
    name = "glihamba.exe" if os.name == "nt" else "glihamba"
    (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / name).chmod(0o755)
    assert launcher.installed_command() == [str(tmp_path / name), "serve"]


def test_an_editor_s_bundle_does_not_reach_the_daemon() -> None:
    bundle = {"PYTHONHOME": "/app", "LD_LIBRARY_PATH": "/app/lib", "HOME": "/home/me", "LANG": "C"}
    assert launcher.without_bundle(bundle) == {"HOME": "/home/me", "LANG": "C"}


def test_works_where_an_event_loop_already_runs() -> None:
    """An editor's plug-in may itself run in a virtual environment."""

    async def outer() -> Any:
        return call(launcher.running)

    assert asyncio.run(outer()) is None
