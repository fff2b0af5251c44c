"""A person's own files are never run in place of a library's modules, wherever a command is called from."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from cli_pictures import save, save_mask, scene

from glihamba_proto import interpreter

NAMES = ("random", "types", "logging", "pip", "json", "torch", "numpy", "glihamba")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder full of such files, from which the test is called. Each leaves a trace when it is run."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'run')!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        )
    monkeypatch.chdir(folder)
    return folder


def was_run(home: Path) -> str:
    trace = home.parent / "run"
    return trace.read_text() if trace.exists() else ""


def test_they_would_be_run_by_a_plain_call(home: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True)
    assert was_run(home)


@pytest.mark.usefixtures("own_home")
def test_the_daemon_is_started_beside_them(home: Path) -> None:
    """As the installed command does it: this starts the daemon, then finds it, then ends it."""
    program = Path(sysconfig.get_path("scripts")) / f"glihamba{'.exe' if os.name == 'nt' else ''}"
    composite, mask = save(home / "in.png", scene()), save_mask(home / "mask.png")
    harmonize = ("harmonize", composite, "--mask", mask, "-o", home / "out.png", "--model", "statistics")
    for words in (harmonize, ("status",), ("stop",)):
        done = subprocess.run([program, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not was_run(home)


@pytest.mark.parametrize("words", [("--version",), ("index", "--help")])
def test_pip_is_called_beside_them(home: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(interpreter.module(sys.executable, "pip", *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not was_run(home)


def test_a_question_is_asked_beside_them(home: Path) -> None:
    done = subprocess.run(
        interpreter.code(sys.executable, "import random, logging; print(random.__file__)"),
        capture_output=True,
        text=True,
    )
    assert str(home) not in done.stdout
    assert not was_run(home)


def test_the_installer_looks_at_the_machine_beside_them(home: Path) -> None:
    install = Path(__file__).parents[2] / "install.py"
    done = subprocess.run(
        [sys.executable, install, "--dry-run", "--prefix", home.parent / "there"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not was_run(home)
    assert " -P -m pip" in done.stdout or " -I -m pip" in done.stdout
