"""The client's side of shared files: used where they can be, and what happens where they cannot."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, until

from glihamba.daemon.planes import Reception
from glihamba.daemon.server import Daemon
from glihamba_client import streams
from glihamba_client.client import Client, Task
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized
from glihamba_proto import shared_file
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.shared_file import SharedFile

Make = Callable[..., Capture]

pytestmark = pytest.mark.skipif(not shared_file.AVAILABLE, reason="this system has no pread and O_NOFOLLOW")


def begin(endpoint: Endpoint, capture: Capture) -> Task[Harmonized]:
    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(endpoint).harmonize(capture, model="statistics-full", report=task.report)

    return Task(work)


@pytest.fixture
def folder(own_home: Path) -> Path:
    return own_home / "run" / "planes"


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each job that the daemon receives from now on, whether its planes came in a file."""
    seen: list[bool] = []
    request = Reception.request

    def noted(self: Reception, model: Any) -> Any:
        seen.append(self.has_stored)
        return request(self, model)

    monkeypatch.setattr(Reception, "request", noted)
    return seen


@pytest.fixture
def large(make_capture: Make) -> Capture:
    return make_capture(700, 500)


@pytest.fixture
def expected(endpoint: Endpoint, large: Capture) -> bytes:
    """What `large` becomes in messages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "FEWEST_STORED", 1 << 60)
        return bytes(begin(endpoint, large).result().plane.data)


def test_the_same_bytes_as_in_messages(
    endpoint: Endpoint, large: Capture, expected: bytes, stored: list[bool], folder: Path
) -> None:
    for _ in range(2):
        assert begin(endpoint, large).result().plane.data == expected
    assert stored == [True, True]
    assert len(os.listdir(folder)) == 1


def test_a_small_picture_goes_in_messages(endpoint: Endpoint, make_capture: Make, stored: list[bool]) -> None:
    assert begin(endpoint, make_capture()).result().plane.width == 64
    assert stored == [False]


def out_of_reach(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sandbox, or another machine behind a tunnel: the folder there is another one."""
    patch.setattr("glihamba_proto.places.planes_folder", lambda: tmp_path / "nowhere")


def not_available(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Windows, for one."""
    patch.setattr(shared_file, "AVAILABLE", False)


def another_user(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    me = os.geteuid()
    patch.setattr(os, "geteuid", lambda: me + 1)


def full_disk(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(self: SharedFile, data: memoryview, position: int) -> None:
        raise OSError(28, "No space left on device")

    patch.setattr(SharedFile, "write", write)


@pytest.mark.parametrize("trouble", [out_of_reach, not_available, another_user, full_disk])
def test_where_the_file_does_not_serve_messages_do(
    endpoint: Endpoint,
    large: Capture,
    expected: bytes,
    stored: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    trouble: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    trouble(monkeypatch, tmp_path)
    assert begin(endpoint, large).result().plane.data == expected
    assert stored == [False]


def test_a_daemon_reached_as_on_another_machine_is_not_asked(
    endpoint: Endpoint, large: Capture, expected: bytes, stored: list[bool]
) -> None:
    assert begin(replace(endpoint, instance=""), large).result().plane.data == expected
    assert stored == [False]


def test_two_clients_at_once(endpoint: Endpoint, make_capture: Make, stored: list[bool]) -> None:
    """Each gets its own picture back."""
    captures = [make_capture(700 + 10 * number, 500) for number in range(2)]
    alone = [begin(endpoint, capture).result().plane for capture in captures]
    for _ in range(3):
        tasks = [begin(endpoint, capture) for capture in captures]
        assert [task.result().plane for task in tasks] == alone
    assert stored == [True] * 8


def test_a_cancelled_job_leaves_no_file(
    daemon: Any, endpoint: Endpoint, large: Capture, expected: bytes, folder: Path
) -> None:
    daemon.runner.begun.clear()
    daemon.runner.go.clear()
    task = begin(endpoint, large)
    assert daemon.runner.begun.wait(PATIENCE)
    assert len(os.listdir(folder)) == 1
    task.cancel()
    with pytest.raises(ClientError) as failure:
        task.result()
    assert failure.value.code == "CANCELLED"
    until(lambda: not os.listdir(folder))
    daemon.runner.go.set()
    assert begin(endpoint, large).result().plane.data == expected


def test_a_refusal_while_the_client_waits_for_the_file(endpoint: Endpoint, large: Capture) -> None:
    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(endpoint).harmonize(large, model="nonsuch")

    with pytest.raises(ClientError) as failure:
        Task(work).result()
    assert failure.value.code == "UNKNOWN_MODEL"


def test_a_result_cut_short_is_not_taken(
    daemon: Any, endpoint: Endpoint, large: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SharedFile.read

    def cut(self: SharedFile, target: memoryview, position: int) -> None:
        if threading.current_thread().name == "glihamba":  # the client's
            os.truncate(folder / self.name, 100)
        read(self, target, position)

    monkeypatch.setattr(SharedFile, "read", cut)
    with pytest.raises(ClientError) as failure:
        begin(endpoint, large).result()
    assert failure.value.code == "BAD_RESULT"
    monkeypatch.undo()
    assert begin(endpoint, large).result()  # whether the daemon keeps the short file or not


def test_a_shutdown_in_mid_job_tells_the_client(
    daemon: Daemon, endpoint: Endpoint, large: Capture, folder: Path
) -> None:
    runner: Any = daemon.runner
    runner.go.clear()
    task = begin(endpoint, large)
    assert runner.begun.wait(PATIENCE)
    closing = threading.Thread(target=daemon.jobs.close)
    closing.start()
    with pytest.raises(ClientError) as failure:
        task.result()
    assert failure.value.code == "SHUTTING_DOWN"
    runner.go.set()
    closing.join(PATIENCE)
    until(lambda: not os.listdir(folder))
