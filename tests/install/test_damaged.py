"""install.py with a damaged installation, and with a second installation beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from installer.console import Console
from installer.editors import Gimp
from installer.layout import Root, State, default_root
from installer.main import main
from installer.steps import Installation, Options, checkout_hash
from installing import install

on_posix = pytest.mark.skipif(os.name != "posix", reason="environments of links, commands of scripts")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("GLIHAMBA_DATA_DIR", "SNAP_REAL_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def gimp(folder: Path) -> Gimp:
    """A GIMP with our plug-in in it."""
    (folder / "plug-ins" / "glihamba").mkdir(parents=True)
    return Gimp("GIMP 3.0", folder / "plug-ins")


def installed(path: Path, *editors: Gimp, python: Path | str = sys.executable) -> Root:
    """A root whose environment links to that Python, and whose command fails."""
    root = Root(path)
    command = root.command("env-1")
    command.parent.mkdir(parents=True)
    root.python("env-1").symlink_to(python)
    command.write_text(f"#!{root.python('env-1')}\nraise SystemExit('out of order')\n")
    command.chmod(0o755)
    facts = {"env": "env-1", "checkout": checkout_hash(), "version": "1", "torch": "2", "installed": "then"}
    key = Installation(root, Options(), Console(None, 8))._key()
    root.save(State(current={**facts, **key, "plugins": [editor.entry for editor in editors]}))
    return root


@on_posix
def test_without_the_python_it_was_made_with(tmp_path: Path) -> None:
    """The Python is gone, as after an upgrade of the distribution."""
    python, editor = tmp_path / "python3", gimp(tmp_path / "gimp")
    python.symlink_to(sys.executable)
    root = installed(tmp_path / "root", editor, python=python)
    python.unlink()
    looked = install("doctor", "--prefix", root.path)
    assert (looked.returncode, looked.stderr) == (1, "")
    assert "damaged, the Python that it was made with is gone: run install.py again" in looked.stdout
    assert not Installation(root, Options(), Console(root.log, 8)).repair(), "it is built again"
    removed = install("uninstall", "--prefix", root.path)
    assert (removed.returncode, removed.stderr) == (0, "")
    assert not editor.has_plugin
    assert not root.path.exists()


@on_posix
def test_a_command_that_cannot_be_started_keeps_nothing_from_being_removed(tmp_path: Path) -> None:
    root = installed(tmp_path / "root")
    root.command("env-1").write_text(f"#!{tmp_path}/nowhere\n")
    removed = install("uninstall", "--prefix", root.path)
    assert (removed.returncode, removed.stderr) == (0, "")
    assert not root.path.exists()


@on_posix
def test_repair_without_its_folder_of_logs(tmp_path: Path, capsys: Any) -> None:
    root = installed(tmp_path / "root")
    assert not Installation(root, Options(), Console(root.log, 8)).repair()
    said = capsys.readouterr().out
    assert "It is built again." in said
    assert "out of order" in root.log.read_text("utf-8")


@pytest.mark.parametrize("variable", [False, True], ids=["by default", "by the variable"])
def test_the_plugins_of_the_usual_installation_stay(
    variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The plugin stays even if GLIHAMBA_DATA_DIR names the second installation."""
    shared, own = gimp(tmp_path / "gimp"), gimp(tmp_path / "other")
    usual, tried = Root(default_root()), Root(tmp_path / "tried")
    for root, editors in ((usual, [shared]), (tried, [shared, own])):
        root.save(State(current={"env": "env-1", "plugins": [editor.entry for editor in editors]}))
    if variable:
        monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tried.path))
    assert main(["uninstall", "--prefix", str(tried.path)]) == 0
    said = "Left in GIMP 3.0: the plugin, which the installation in "
    assert said in capsys.readouterr().out
    assert (shared.has_plugin, own.has_plugin) == (True, False)
    assert not tried.path.exists()
    monkeypatch.delenv("GLIHAMBA_DATA_DIR", raising=False)
    assert main(["uninstall"]) == 0
    assert not shared.has_plugin
