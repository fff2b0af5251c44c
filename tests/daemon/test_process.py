"""The daemon as a process: its start, its end, a kill, idleness, and never two at once."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from waiting import PATIENCE, until

from glihamba import __version__
from glihamba.daemon import standard_error
from glihamba_proto import endpoint as record
from glihamba_proto.endpoint import Endpoint

posix = pytest.mark.skipif(os.name != "posix", reason="this system has no POSIX modes and signals")


SCRIPT = """
import sys, time
from glihamba.engine.runner import Runner
from glihamba.daemon.server import CannotServe, serve
from glihamba import settings
from glihamba.networks.statistics import Statistics

class Slow(Statistics):
    def colour_transform(self, composite, mask):
        time.sleep({seconds})
        return super().colour_transform(composite, mask)

try:
    table = settings.in_force()
    serve(settings=table, runner=Runner(table, lambda name, device: Slow()), {options})
except CannotServe as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """process(seconds=0, options="") -> a daemon's process, killed with the test if it still lives."""
    begun: list[subprocess.Popen[str]] = []

    def begin(seconds: float = 0, options: str = "") -> subprocess.Popen[str]:
        script = SCRIPT.format(seconds=seconds, options=options)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        begun.append(subprocess.Popen([sys.executable, "-c", script], **pipes))  # type: ignore[call-overload]
        return begun[-1]

    yield begin
    for one in begun:
        if one.poll() is None:
            one.kill()
        one.communicate()


def endpoint_of(one: subprocess.Popen[str], home: Path) -> Endpoint:
    def found() -> Endpoint | None:
        assert one.poll() is None, one.communicate()[0]
        endpoint = record.read(home / "run" / "endpoint.json")
        return endpoint if endpoint and endpoint.pid == one.pid else None

    return until(found)


@pytest.mark.parametrize(
    "how", ["Shutdown", pytest.param("SIGTERM", marks=posix), pytest.param("SIGINT", marks=posix)]
)
def test_it_ends_when_told_and_tells_its_jobs(
    process: Callable[..., Any], home: Path, said: SimpleNamespace, how: str
) -> None:
    daemon = process(seconds=1.5)
    endpoint = endpoint_of(daemon, home)
    assert daemon.stdout.readline() == (
        f"GLIHamba {__version__} is ready: 127.0.0.1:{endpoint.port} (process {daemon.pid}).\n"
    )
    peer = said.Peer(f"127.0.0.1:{endpoint.port}", endpoint.token)
    refusals: list[Any] = []
    jobs = [
        threading.Thread(target=lambda: refusals.append(peer.refusal(said.plain_job()))) for _ in range(3)
    ]
    for one in jobs:
        one.start()
    until(lambda: (lambda info: info.job_running and info.jobs_waiting == 2)(peer.info()))
    peer.shutdown() if how == "Shutdown" else daemon.send_signal(getattr(signal, how))
    for one in jobs:
        one.join(PATIENCE)
    assert {refusal[:2] for refusal in refusals} == {(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")}
    output, _ = daemon.communicate(timeout=PATIENCE)
    assert (daemon.returncode, output) == (0, "")
    assert not (home / "run" / "endpoint.json").exists()
    log = (home / "logs" / "daemon.log").read_text("utf-8")
    assert "the daemon was told to end" in log
    assert endpoint.token not in log
    peer.channel.close()


@posix
def test_after_a_kill_the_next_daemon_takes_over(
    process: Callable[..., Any], home: Path, said: SimpleNamespace
) -> None:
    first = process(seconds=30)
    old = endpoint_of(first, home)
    peer = said.Peer(f"127.0.0.1:{old.port}", old.token)
    call = peer.open(said.plain_job())
    assert next(call)
    first.kill()
    first.wait(PATIENCE)
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    peer.channel.close()
    assert record.read(home / "run" / "endpoint.json") == old  # stale
    new = endpoint_of(process(), home)
    assert new.instance != old.instance
    peer = said.Peer(f"127.0.0.1:{new.port}", new.token)
    assert peer.info().instance == new.instance
    peer.channel.close()
    assert f'"dead_pid": {old.pid}' in (home / "logs" / "daemon.log").read_text("utf-8")


def test_a_second_process_ends_with_a_sentence_and_its_own_status(
    process: Callable[..., Any], home: Path
) -> None:
    first = process()
    endpoint = endpoint_of(first, home)
    second = process()
    output, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 3
    assert output == (
        f"A GLIHamba daemon already runs (process {endpoint.pid}, port {endpoint.port}): "
        "use that one, or end it first.\n"
    )
    assert endpoint_of(first, home) == endpoint


def test_a_daemon_nobody_needs_ends(process: Callable[..., Any], home: Path, said: SimpleNamespace) -> None:
    daemon = process(options="idle_exit_minutes=0.05")
    endpoint = endpoint_of(daemon, home)
    peer = said.Peer(f"127.0.0.1:{endpoint.port}", endpoint.token)
    begun = time.monotonic()
    while time.monotonic() < begun + 5:  # a request keeps the daemon alive
        assert peer.info().instance == endpoint.instance
        time.sleep(0.2)
    peer.channel.close()
    output, _ = daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0, output
    assert not (home / "run" / "endpoint.json").exists()
    assert "nobody has needed it" in (home / "logs" / "daemon.log").read_text("utf-8")


def test_a_running_job_keeps_the_daemon(
    process: Callable[..., Any], home: Path, said: SimpleNamespace
) -> None:
    daemon = process(seconds=3, options="idle_exit_minutes=0.02")
    endpoint = endpoint_of(daemon, home)
    peer = said.Peer(f"127.0.0.1:{endpoint.port}", endpoint.token)
    assert peer.harmonize(said.plain_job()).end
    peer.channel.close()
    daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0


def test_refused_calls_do_not_keep_a_daemon(
    process: Callable[..., Any], home: Path, said: SimpleNamespace
) -> None:
    daemon = process(options="idle_exit_minutes=0.05")
    endpoint = endpoint_of(daemon, home)
    peer = said.Peer(f"127.0.0.1:{endpoint.port}", endpoint.token)
    codes = set()
    while daemon.poll() is None:
        try:
            peer.harmonize(said.plain_job(model="none"))
            peer.harmonize([said.pb.HarmonizeRequest()])
        except grpc.RpcError as error:
            codes.add(said.told(error)[1])
    peer.channel.close()
    daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0
    assert codes >= {"UNKNOWN_MODEL"}
    assert "nobody has needed it" in (home / "logs" / "daemon.log").read_text("utf-8")


def test_the_server_is_there_before_torch_is() -> None:
    code = "import glihamba.daemon.server, sys; print('torch' in sys.modules, 'numba' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]


def frame(kind: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 on the connection itself."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, 0)) + bytes(4) + payload


def test_what_a_stranger_says_does_not_fill_a_file_or_reach_a_terminal(
    process: Callable[..., Any], home: Path, said: SimpleNamespace
) -> None:
    """gRPC prints the text of a GOAWAY frame, which needs no token, to standard error."""
    daemon = process()
    endpoint = endpoint_of(daemon, home)
    forged = b'\x1b[31m{"event": "forged"}\n' * 400
    settings, farewell = frame(4, b""), frame(7, struct.pack(">II", 0, 2) + forged)
    for _ in range(30):
        with socket.create_connection((endpoint.host, endpoint.port)) as line:
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + farewell)
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):  # until the daemon has read it all and closes the connection
                pass
    peer = said.Peer(f"127.0.0.1:{endpoint.port}", endpoint.token)
    long_name = peer.refusal(said.plain_job(model="m" * 1_000_000))
    assert long_name[1] == "UNKNOWN_MODEL"
    peer.shutdown()
    output, _ = daemon.communicate(timeout=PATIENCE)
    assert "forged" not in output
    text = (home / "logs" / "daemon.log").read_bytes()
    assert len(text) < 40_000
    assert b"\x1b" not in text
    events = [json.loads(line) for line in text.splitlines()]
    said_by_libraries = [event["text"] for event in events if event["event"] == "a library said"]
    assert len(said_by_libraries) <= 20
    assert any("Debug Text: \\x1b[31m" in each for each in said_by_libraries), "it is there, escaped"
    if os.name == "posix":
        assert (home / "logs" / "daemon.log").stat().st_mode & 0o077 == 0
    peer.channel.close()


def test_standard_error_comes_back_and_its_lines_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="glihamba"), standard_error.logged():
        os.write(2, b"one\n\ntwo \xff\x9b1m\n" + b"x" * 10_000 + b"\nno end")
        until(lambda: len(caplog.records) == 3)
    texts = [record.__dict__["text"] for record in caplog.records]
    assert texts == ["one", "two \\xff\\x9b1m", "x" * 300 + "…"]
