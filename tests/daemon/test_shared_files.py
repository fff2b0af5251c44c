"""The daemon's side of shared files: what a client may say, and what becomes of a file."""

from __future__ import annotations

import os
import queue
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from waiting import until

from glihamba.daemon import service as service_module
from glihamba.daemon.jobs import Patience
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import shared_file
from glihamba_proto.chunks import chunks
from glihamba_proto.shared_file import SharedFile

INVALID = grpc.StatusCode.INVALID_ARGUMENT

pytestmark = pytest.mark.skipif(not shared_file.AVAILABLE, reason="this system has no pread and O_NOFOLLOW")


class Storing:
    """One job of a client that stores its planes, step by step: `said` goes out as the test says it."""

    def __init__(self, peer: Any, folder: Path, messages: list[Any]) -> None:
        """messages: of the same job in line."""
        self.folder = folder
        first, *self.inline = messages
        first.start.shared_file = True
        self._outgoing: queue.Queue[Any] = queue.Queue()
        self.say(first)
        self.answers = peer.open(iter(self._outgoing.get, None))
        self.name = next(self.answers).shared_file.name
        self.file = shared_file.open_named(folder, self.name, 1)

    def say(self, *messages: Any) -> None:
        for message in messages:
            self._outgoing.put(message)

    def store(self, *planes: np.ndarray) -> None:
        assert isinstance(self.file, SharedFile)
        data = [memoryview(plane.tobytes()) for plane in planes]
        self.say(*(pb.HarmonizeRequest(chunk=chunk) for chunk in chunks(data, 4096, self.file)))

    def half_close(self) -> None:
        self._outgoing.put(None)

    def result(self) -> bytes:
        """Read the answers up to the result's last chunk."""
        header, pixels = None, b""
        for message in self.answers:
            if message.WhichOneof("message") == "result":
                header = message.result
            if message.WhichOneof("message") == "chunk":
                part = bytearray(message.chunk.stored)
                if part:
                    assert self.file is not None
                    self.file.read(memoryview(part), message.chunk.offset)
                pixels += bytes(part) or message.chunk.data
                if header is not None and len(pixels) == header.width * header.height * 3:
                    break
        return pixels

    def end(self) -> None:
        self.half_close()
        assert [message.WhichOneof("message") for message in self.answers] == ["end"]

    def refusal(self) -> tuple[Any, str]:
        self.half_close()
        with pytest.raises(grpc.RpcError) as raised:
            list(self.answers)
        return raised.value.code(), raised.value.details()


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "run" / "planes"


@pytest.fixture
def begin(said: SimpleNamespace, folder: Path) -> Iterator[Callable[..., Storing]]:
    """begin(peer) -> a job whose file is offered; its stream is closed with the test."""
    begun: list[Storing] = []

    def one(peer: Any) -> Storing:
        begun.append(Storing(peer, folder, said.plain_job()))
        return begun[-1]

    yield one
    for each in begun:
        each.half_close()
        each.answers.cancel()


def test_the_same_bytes_as_in_messages(peer: Any, begin: Any, said: SimpleNamespace, folder: Path) -> None:
    expected = peer.harmonize(said.plain_job()).data
    job = begin(peer)
    job.store(said.picture(), said.object_mask())
    assert job.result() == expected
    job.end()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_a_returned_file_serves_the_next_job(
    peer: Any, begin: Any, said: SimpleNamespace, folder: Path
) -> None:
    names = []
    for _ in range(3):
        job = begin(peer)
        job.store(said.picture(), said.object_mask())
        job.result()
        job.end()
        names.append(job.name)
        until(lambda: peer.info().jobs_waiting == 0 and not peer.info().job_running)
    assert len(set(names)) == 1
    assert os.listdir(folder) == names[:1]


def test_a_job_keeps_its_file_until_its_client_has_read_the_result(
    peer: Any, begin: Any, said: SimpleNamespace
) -> None:
    """Two jobs at once have two files, also when the daemon is done with the first one."""
    composite, mask = said.picture(), said.object_mask()
    first = begin(peer)
    first.store(composite, mask)
    pixels = first.result()
    second = begin(peer)
    assert second.name != first.name
    second.store(255 - composite, mask)
    assert second.result() != pixels
    read = bytearray(len(pixels))
    first.file.read(memoryview(read), 0)
    assert read == pixels
    first.end()
    second.end()


def test_a_client_that_cannot_open_the_file_sends_messages(
    peer: Any, begin: Any, said: SimpleNamespace
) -> None:
    expected = peer.harmonize(said.plain_job()).data
    job = begin(peer)
    job.file = None  # whatever is stored could not be read
    job.say(*job.inline)
    job.half_close()
    assert job.result() == expected


def test_a_full_disk_on_the_daemon_s_side(
    peer: Any, begin: Any, said: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's planes are in the file, but the result does not go in any more."""
    expected = peer.harmonize(said.plain_job()).data
    job = begin(peer)
    job.store(said.picture(), said.object_mask())

    def full(self: Any, data: memoryview, position: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SharedFile, "write", full)
    assert job.result() == expected
    job.end()


def test_a_client_that_dies_takes_its_file_along(
    start: Any, connect: Any, begin: Any, said: SimpleNamespace, folder: Path
) -> None:
    """It may still write to the file, so no other job may get it."""
    daemon = start(default_model="statistics")
    dying, other = connect(daemon), connect(daemon)
    job = begin(dying)
    job.say(pb.HarmonizeRequest(chunk=pb.Chunk(plane=0, offset=0, stored=100)))
    dying.channel.close()
    until(lambda: not os.listdir(folder))
    expected = other.harmonize(said.plain_job()).data
    survivor = begin(other)
    assert survivor.name != job.name
    survivor.store(said.picture(), said.object_mask())
    job.file.write(memoryview(b"\x00" * 5000), 0)  # a last write of the dead
    assert survivor.result() == expected
    survivor.end()


def test_a_client_that_never_returns_its_file_loses_its_place(
    start: Any, connect: Any, begin: Any, said: SimpleNamespace
) -> None:
    daemon = start(daemon={"patience": Patience(reading=0.5)}, default_model="statistics")
    peer = connect(daemon)
    job = begin(peer)
    job.store(said.picture(), said.object_mask())
    job.result()
    assert daemon.jobs.idle_seconds() == 0
    until(lambda: daemon.tick() or daemon.jobs.idle_seconds() > 0)
    with pytest.raises(grpc.RpcError):
        list(job.answers)
    assert peer.harmonize(said.plain_job()).end


CHUNK = {"plane": 0, "offset": 0}


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        ({**CHUNK, "stored": 7201}, "has 7,200 bytes, but its chunks go on to 7,201"),
        ({**CHUNK, "stored": 2**64 - 1}, "has 7,200 bytes, but its chunks go on to 18,446,"),
        ({**CHUNK, "offset": 7, "stored": 10}, "begins at byte 7"),
        ({**CHUNK, "plane": 1, "stored": 10}, "plane"),
        ({**CHUNK, "stored": 3, "data": b"abc"}, "Choose one of the two"),
        ({**CHUNK}, "is empty"),
    ],
)
def test_hostile_sizes(peer: Any, begin: Any, said: SimpleNamespace, chunk: Any, words: str) -> None:
    job = begin(peer)
    job.say(pb.HarmonizeRequest(chunk=pb.Chunk(**chunk)))
    code, sentence = job.refusal()
    assert code == INVALID
    assert words in sentence
    assert peer.harmonize(said.plain_job()).end


def test_a_file_cut_short_is_a_refusal(peer: Any, begin: Any, said: SimpleNamespace, folder: Path) -> None:
    job = begin(peer)
    os.truncate(folder / job.name, 100)
    job.say(pb.HarmonizeRequest(chunk=pb.Chunk(plane=0, offset=0, stored=7200)))
    code, sentence = job.refusal()
    assert code == INVALID
    assert sentence.startswith("The composite could not be read from the shared file")
    assert peer.harmonize(said.plain_job()).end


def test_stored_pixels_without_a_file(peer: Any, said: SimpleNamespace) -> None:
    first, *_ = said.plain_job()
    stored = pb.HarmonizeRequest(chunk=pb.Chunk(plane=0, offset=0, stored=100))
    assert peer.refusal([first, stored])[2] == (
        "A chunk of the composite is said to be in a shared file, but this job has none. Send its bytes."
    )


def test_a_stream_that_goes_on_is_refused_with_a_file_too(
    peer: Any, begin: Any, said: SimpleNamespace
) -> None:
    job = begin(peer)
    job.store(said.picture(), said.object_mask())
    job.say(job.inline[-1])
    code, sentence = job.refusal()
    assert (code, "goes on after the last byte" in sentence) == (INVALID, True)


def test_clients_of_other_machines_get_no_file(
    peer: Any, begin: Any, said: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert peer.info().shared_files
    monkeypatch.setattr(service_module, "is_this_machine", lambda peer: False)
    assert not peer.info().shared_files
    job = begin(peer)
    assert (job.name, os.listdir(folder)) == ("", [])
    job.say(*job.inline)
    job.half_close()
    assert job.result() == peer.harmonize(said.plain_job()).data


def test_shared_files_can_be_switched_off(start: Any, connect: Any, begin: Any, folder: Path) -> None:
    peer = connect(start(shared_files="off", default_model="statistics"))
    assert not peer.info().shared_files
    assert begin(peer).name == ""
    assert not folder.exists()


@pytest.mark.parametrize("place", ["a link", "a file"])
def test_without_its_folder_the_daemon_works_in_messages(
    start: Any, connect: Any, said: SimpleNamespace, folder: Path, tmp_path: Path, place: str
) -> None:
    folder.parent.mkdir(parents=True)
    precious = tmp_path / "elsewhere"
    precious.mkdir(mode=0o755)
    (precious / ("a" * 32)).touch()
    folder.symlink_to(precious) if place == "a link" else folder.touch()
    peer = connect(start(default_model="statistics"))
    assert not peer.info().shared_files
    assert peer.harmonize(said.plain_job()).end
    assert os.listdir(precious) == ["a" * 32]
    assert stat.S_IMODE(precious.stat().st_mode) == 0o755


def test_files_go_with_the_daemon_and_stale_ones_at_the_next_start(
    start: Any, connect: Any, begin: Any, said: SimpleNamespace, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / ("b" * 32)).touch()
    (folder / "notes of a person.txt").touch()
    daemon = start(default_model="statistics", unload_minutes=0)
    assert os.listdir(folder) == ["notes of a person.txt"]
    job = begin(connect(daemon))
    job.store(said.picture(), said.object_mask())
    job.result()
    job.end()
    assert len(os.listdir(folder)) == 2
    until(lambda: daemon.tick() or len(os.listdir(folder)) == 1)  # idle: the disk gets its room back
    begin(connect(daemon))
    assert len(os.listdir(folder)) == 2
    daemon.__exit__()
    assert os.listdir(folder) == ["notes of a person.txt"]
