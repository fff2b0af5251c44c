"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from glihamba_proto.files import forget_parts, replacing


def test_what_is_written_takes_the_files_place(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as part:  # noqa: PT012 - the block is what fails
        part.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "token", private=True) as part:
        part.write_text("secret")
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_what_a_killed_process_left_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "last[1].ckpt"
    path.write_text("whole")
    with replacing(path) as part:
        part.write_text("half")
        left = part.with_name(part.name.replace(".part", "0.part"))
        part.rename(left)  # as if the process had ended here
        other = tmp_path / ".last.ckpt.0.part"
        other.write_text("another file's")
        forget_parts(path)
        part.write_text("new")
    assert not left.exists()
    assert other.exists()
    assert path.read_text() == "new"
