"""The checks of style that CONTRIBUTING.md promises, on the whole checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST = 400  # lines of a module; a longer one should be divided


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("mypy", "install.py", "installer"),
    ],
    ids=" ".join,
)
def test_is_clean(command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_stay_short() -> None:
    rooms = ("backend", "training", "proto", "plugins", "installer", "tests", "tools", "examples")
    generated = ("_pb2.py", "_grpc.py")
    lengths = {
        path.relative_to(REPOSITORY): len(path.read_text("utf-8").splitlines())
        for room in rooms
        for path in (REPOSITORY / room).rglob("*.py")
        if not path.name.endswith(generated)
    }
    assert lengths
    assert not {str(path): lines for path, lines in lengths.items() if lines > LONGEST}
