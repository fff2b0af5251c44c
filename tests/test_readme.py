"""Run the commands of the README and the user guide."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from glihamba import demo

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", REPOSITORY / "docs" / "user-guide.md"]
PROGRAM = [sys.executable, "-m", "glihamba"]
NEEDS_PHOTOGRAPHS = (
    "data",
    "train",
    "evaluate",
    "compare",
    "export",
    "models add",
)  # only their options are checked here


def commands() -> list[str]:
    """Return each command once, in the order of the pages."""
    blocks = [b for page in PAGES for b in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.S)]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("glihamba ")]
    return list(dict.fromkeys(lines))


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], cwd=folder, capture_output=True, text=True)


def test_the_pages_have_commands_and_only_existing_pictures():
    assert len(commands()) > 8
    for page in PAGES:
        text = page.read_text("utf-8")
        assert "```sh\n" in text
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
            assert (page.parent / picture).is_file(), picture
        assert "@" not in re.sub(r"`[^`]*`", "", text), "a figure is still missing"


def test_every_command_for_pictures_works_as_written(tmp_path, own_home):
    Image.open(demo.COMPOSITE).save(tmp_path / "composite.png")
    shutil.copy(demo.MASK, tmp_path / "mask.png")
    for place, name in (
        ("composites/drum.png", "composite.png"),
        ("frames/0001.png", "composite.png"),
        ("masks/drum.png", "mask.png"),
        ("masks/0001.png", "mask.png"),
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / name, tmp_path / place)
    for command in commands():
        if not command.startswith(tuple(f"glihamba {name}" for name in NEEDS_PHOTOGRAPHS)):
            done = run(shlex.split(command)[1:], tmp_path)
            assert done.returncode == 0, f"{command}: {done.stderr}"
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert {
        "harmonized.png",
        "softer.png",
        "statistics.png",
        "harmonized/drum.png",
        "harmonized/0001.png",
    } <= written


@pytest.mark.parametrize(
    "command", [c for c in commands() if c.startswith(tuple(f"glihamba {n}" for n in NEEDS_PHOTOGRAPHS))]
)
def test_every_other_command_has_the_options_it_is_given(command, tmp_path):
    words = shlex.split(command)[1:]
    name = words[:2] if words[0] in ("models", "data") else words[:1]
    shown = run([*name, "--help"], tmp_path)
    assert shown.returncode == 0, shown.stderr
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown.stdout), option
