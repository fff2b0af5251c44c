"""Failures that pass are waited out: a full queue, and a daemon that ends, is killed or is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from glihamba_client import client as client_module
from glihamba_client import launcher, patience
from glihamba_client.client import Client, call
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Progress
from glihamba_client.service import DaemonService
from glihamba_client.texts import stage
from glihamba_proto import endpoint as record
from glihamba_proto import places

SERVE = [sys.executable, "-m", "glihamba", "serve", "--device", "cpu"]
Make = Callable[..., Capture]
posix = pytest.mark.skipif(os.name != "posix", reason="signals")


def tried(codes: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], str | None]:
    """What was said while attempts failed with these codes in turn, and the code that was given up with."""
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    said: list[str] = []
    left = iter(codes)

    async def attempt() -> str:
        for code in left:
            raise ClientError(code)
        return "done"

    try:
        asyncio.run(patience.patiently(attempt, lambda progress: said.append(progress.stage)))
    except ClientError as error:
        return said, error.code
    return said, None


@pytest.mark.parametrize(
    ("codes", "said", "end"),
    [
        (["QUEUE_FULL"] * 9, ["BUSY"] * 9, None),
        (["SHUTTING_DOWN", "DAEMON_LOST"], ["AGAIN"] * 2, None),
        (["DAEMON_LOST", "QUEUE_FULL", "DAEMON_LOST"], ["AGAIN", "BUSY", "AGAIN"], None),
        (["DAEMON_LOST"] * 3, ["AGAIN"] * 2, "DAEMON_LOST"),
        (["DAEMON_LOST", "REMOTE_GONE"], ["AGAIN"] * 2, None),
        (["NO_ANSWER", "NO_ANSWER"], ["AGAIN"] * 2, None),
        (["REMOTE_GONE"], [], "REMOTE_GONE"),
        (["DAEMON_LOST", "EMPTY_MASK"], ["AGAIN"], "EMPTY_MASK"),
        (["OUT_OF_MEMORY"], [], "OUT_OF_MEMORY"),
    ],
)
def test_what_is_tried_again(
    codes: list[str], said: list[str], end: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tried(codes, monkeypatch) == (said, end)


def test_what_is_said_meanwhile() -> None:
    assert stage(Progress("BUSY"), "en") == "Waiting for a place in the daemon"
    assert stage(Progress("AGAIN"), "de") == "Neuer Versuch"
    assert stage(Progress("QUEUED", 0.0, 20), "en") == "Waiting for other jobs (20 more before it)"


def test_32_clients_at_once_are_all_served(daemon: Any, make_capture: Make) -> None:
    """Each is told its place in the queue, and another program comes before their last."""
    daemon.runner.go.clear()
    daemon.runner.device()  # imports torch, for which the first calls would wait
    capture = make_capture()
    tasks = [DaemonService(command=SERVE, name="a folder run").start(capture) for _ in range(32)]
    until(lambda: daemon.jobs.waiting == 31)
    until(lambda: {task.progress().stage for task in tasks} >= {"QUEUED"})
    until(lambda: sorted(task.progress().queue_position for task in tasks)[-3:] == [28, 29, 30])
    late = DaemonService(name="an editor").start(capture)
    until(lambda: late.progress().stage == "QUEUED")
    until(lambda: late.progress().queue_position == 1)
    daemon.runner.go.set()
    assert late.result().plane.width == 64
    results = [task.result().plane.data for task in tasks]
    assert len(results) == 32
    assert len(set(map(bytes, results))) == 1


def test_a_client_that_finds_no_seat_waits(
    daemon: Any, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon.jobs, "seats", 2)
    daemon.runner.go.clear()
    first = DaemonService(name="one").start(make_capture())
    until(daemon.runner.begun.is_set)
    second = DaemonService(name="two").start(make_capture())
    until(lambda: daemon.jobs.waiting == 1)
    third, fourth = (DaemonService(name="three").start(make_capture()) for _ in range(2))
    until(lambda: third.progress().stage == fourth.progress().stage == "BUSY")
    fourth.cancel()
    daemon.runner.go.set()
    assert all(task.result().plane.width == 64 for task in (first, second, third))
    with pytest.raises(ClientError, match="Cancelled"):
        fourth.result()


@posix
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_job_whose_daemon_ends_is_done_by_the_next(own_home: Path, make_capture: Make, how: str) -> None:
    service = DaemonService(command=SERVE)
    first = call(service.connect)
    task = service.start(make_capture(4000, 3000))
    until(
        lambda: (
            task.progress().stage in ("LOADING_MODEL", "PREPARING", "PREDICTING", "APPLYING") or task.wait(0)
        )
    )
    os.kill(first.pid, getattr(signal, how))
    assert task.result().plane.width == 4000
    assert call(service.connect).pid != first.pid


@posix
def test_a_daemon_stopped_in_mid_job_is_noticed_and_named(
    own_home: Path, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system still answers for its connections, so only pings tell."""
    assert client_module.PING_EVERY + client_module.PING_PATIENCE < 10
    monkeypatch.setattr(client_module, "PING_EVERY", 0.3)
    monkeypatch.setattr(client_module, "PING_PATIENCE", 0.5)
    monkeypatch.setattr(launcher, "WARMING", 0.0)
    service = DaemonService(command=SERVE)
    first = call(service.connect)
    task = service.start(make_capture(6000, 4000))
    until(lambda: task.progress().stage in ("PREPARING", "PREDICTING", "APPLYING") or task.wait(0))
    os.kill(first.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ClientError) as failure:
            task.result()
    finally:
        os.kill(first.pid, signal.SIGKILL)
    assert (failure.value.code, failure.value.fields) == ("DAEMON_FROZEN", {"process": first.pid})


def test_pings_leave_a_long_job_alone(
    daemon: Any, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC ends connections that ping too often, unless it is told not to."""
    monkeypatch.setattr(client_module, "PING_EVERY", 0.02)
    daemon.runner.go.clear()
    task = DaemonService().start(make_capture())
    until(daemon.runner.begun.is_set)
    assert not task.wait(2), "a hundred pings later the job still waits"
    daemon.runner.go.set()
    assert task.result().plane.width == 64


# -- the local socket


@posix
def test_local_clients_come_through_the_owner_s_socket(daemon: Any, make_capture: Make) -> None:
    found = record.read(places.endpoint_file())
    assert found is not None
    path = places.runtime_folder() / found.socket
    assert stat.S_ISSOCK(path.lstat().st_mode)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600

    async def ask() -> Any:
        channel = Client(found)._channel()
        assert channel._path == str(path)
        channel.close()
        return await Client(found).info()

    assert call(ask).instance == daemon.instance
    path.unlink()
    assert call(lambda: Client(found).info()).instance == daemon.instance, "by the port, then"


@posix
def test_strangers_that_hold_every_connection_do_not_lock_the_owner_out(
    daemon: Any, make_capture: Make
) -> None:
    held = []
    try:
        for _ in range(300):
            line = socket.create_connection(("127.0.0.1", daemon.port))
            held.append(line)
        task = DaemonService().start(make_capture())
        assert task.result().plane.width == 64
        files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        assert files < 300 + 256 + 100, "and they do not use up the daemon's descriptors"
    finally:
        for line in held:
            line.close()


def test_a_socket_that_is_none_of_ours_is_not_used(daemon: Any, tmp_path: Path) -> None:
    found = record.read(places.endpoint_file())
    assert found is not None
    for name in ("../daemon.sock", "endpoint.json", "nonsuch", "/tmp/daemon.sock"):
        record.write(places.endpoint_file(), record.Endpoint(**{**vars(found), "socket": name}))
        named = record.read(places.endpoint_file())
        assert named is not None
        assert Client(named)._local_socket() == ""
        assert call(lambda: Client(named).info()).instance == daemon.instance  # noqa: B023
