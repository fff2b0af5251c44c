"""A client opens nothing but a private regular file of its own user, of the daemon's kind of name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from glihamba_proto import chunks as chunks_module
from glihamba_proto import shared_file
from glihamba_proto.chunks import chunks
from glihamba_proto.shared_file import SharedFile, create, open_folder, open_named

pytestmark = pytest.mark.skipif(not shared_file.AVAILABLE, reason="this system has no pread and O_NOFOLLOW")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "planes"


@pytest.fixture
def made(folder: Path) -> SharedFile:
    """A file of 10 bytes, as the daemon makes it."""
    file = create(open_folder(folder))
    file.grow(10)
    return file


def test_folder_and_file_are_their_owner_s_alone(folder: Path, made: SharedFile) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / made.name).stat().st_mode) == 0o600


def test_a_folder_that_others_may_read_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    os.close(open_folder(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_both_sides_see_the_same_bytes(folder: Path, made: SharedFile) -> None:
    other = open_named(folder, made.name, 10)
    assert other is not None
    other.write(memoryview(b"picture"), 3)
    read = bytearray(7)
    made.read(memoryview(read), 3)
    assert read == b"picture"


def test_a_file_that_ends_early_is_an_error_and_not_a_signal(folder: Path, made: SharedFile) -> None:
    os.truncate(folder / made.name, 4)
    with pytest.raises(OSError, match="truncated"):
        made.read(memoryview(bytearray(10)), 0)


@pytest.mark.parametrize(
    "name", ["", "..", "../endpoint.json", "a" * 31, "A" * 32, "/etc/passwd", "a" * 32 + "\n"]
)
def test_only_the_daemon_s_names_are_opened(folder: Path, made: SharedFile, name: str) -> None:
    assert open_named(folder, name, 0) is None


def test_a_link_is_not_followed(folder: Path, made: SharedFile, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"x" * 10)
    precious.chmod(0o600)
    path = folder / made.name
    path.unlink()
    path.symlink_to(precious)
    assert open_named(folder, made.name, 10) is None
    path.unlink()
    os.link(precious, path)
    assert open_named(folder, made.name, 10) is None


def test_a_linked_folder_is_not_followed(folder: Path, made: SharedFile, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert open_named(link, made.name, 10) is None
    with pytest.raises(NotADirectoryError):
        open_folder(link)


def test_what_is_not_ours_is_not_opened(folder: Path, made: SharedFile) -> None:
    path = folder / made.name
    path.chmod(0o644)
    assert open_named(folder, made.name, 10) is None
    path.chmod(0o600)
    assert open_named(folder, made.name, 11) is None, "it is too short"
    path.unlink()
    assert open_named(folder, made.name, 0) is None, "it is gone"
    os.mkfifo(path, 0o600)
    assert open_named(folder, made.name, 0) is None
    path.unlink()
    path.mkdir(0o700)
    assert open_named(folder, made.name, 0) is None


def test_a_system_without_pwrite_opens_nothing(
    folder: Path, made: SharedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "AVAILABLE", False)
    assert open_named(folder, made.name, 10) is None


def test_chunks_go_into_the_file_until_it_takes_no_more(
    made: SharedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PIECE", 4)
    write = made.write

    def full(data: memoryview, position: int) -> None:
        if position >= 8:
            raise OSError("no space left")
        write(data, position)

    monkeypatch.setattr(made, "write", full)
    planes = [memoryview(b"abcdef"), memoryview(b"ghijkl")]
    sent = [(chunk.plane, chunk.offset, chunk.stored, chunk.data) for chunk in chunks(planes, 3, made)]
    assert sent == [(0, 0, 4, b""), (0, 4, 2, b""), (1, 0, 4, b""), (1, 4, 0, b"kl")]
    stored = bytearray(10)
    made.read(memoryview(stored), 0)
    assert stored == b"abcdefghij"
