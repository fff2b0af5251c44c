"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glihamba_proto import files
from glihamba_proto.files import clear_parts, forget_parts, replacing


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


KILLED = """
import os, sys, pathlib
from glihamba_proto.files import replacing
with replacing(pathlib.Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_the_next_run_in_a_folder_clears_what_killed_ones_left(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)], check=False)
    (left,) = tmp_path.iterdir()  # the second has cleared the first
    with replacing(tmp_path / "settings.json") as mine:
        mine.write_text("{}")
        (theirs := tmp_path / ".a.png.0000ffff_1_89abcdef.part").write_text("another machine's, just now")
        (old := tmp_path / ".b.png.0000ffff_1_89abcdef.part").write_text("another machine's")
        os.utime(old, (time.time() - 90_000,) * 2)
        (own := tmp_path / "notes.part").write_text("a person's")
        clear_parts(tmp_path)
        assert left.name.startswith(".two.png.")
        assert set(tmp_path.iterdir()) == {mine, theirs, own}
    files._cleared.discard(tmp_path)


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".png", "ä" * 125 + ".png"):
        with replacing(tmp_path / name) as part:
            part.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"
