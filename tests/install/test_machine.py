"""install.py refuses machines on which the installation would fail later."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from installer import machine
from installer.console import InstallError
from installer.layout import Root

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_stores_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "WINDOWS", True)
    monkeypatch.setattr(sys, "base_prefix", r"C:\Program Files\WindowsApps\PythonSoftwareFoundation")
    with pytest.raises(InstallError, match=r"run install\.py with the Python from python\.org"):
        machine.check(Root(tmp_path / "there"), "cpu")


@pytest.mark.parametrize(
    "tail",
    [
        "Failed to establish a new connection: [Errno 101] Network is unreachable",
        "error: Failed to fetch\n  Caused by: client error (Connect)",
    ],
)
def test_pip_and_uv_without_a_network_are_understood(tmp_path: Path, tail: str) -> None:
    said = machine.sentence_for(tail, Root(tmp_path), offline=False)
    assert said.startswith(
        "The package index did not provide a package that is needed: check the network (or proxy)"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses most of these names itself")
@pytest.mark.parametrize("name", ['a "b', "a $b", "a `b", "a:b", "a\nb", "a\\b", "a\x1bb"])
def test_a_folder_in_which_no_environment_works_is_refused_before_the_first_byte(
    tmp_path: Path, name: str
) -> None:
    root = Root(tmp_path / name)
    with pytest.raises(
        InstallError, match=r"^The folder's name contains .*: name another folder with --prefix"
    ):
        root.refuse_foreign()
    assert not root.path.exists()


def test_folders_with_blanks_and_accents_are_taken(tmp_path: Path) -> None:
    Root(tmp_path / "my pictures é ' (1)").refuse_foreign()


@pytest.mark.parametrize("words", [["--dry-run"], ["doctor"], ["--help"]])
def test_without_standard_output_there_is_no_traceback(tmp_path: Path, words: list[str]) -> None:
    program = [
        sys.executable,
        str(REPOSITORY / "install.py"),
        *words,
        *([] if words == ["--help"] else ["--prefix", str(tmp_path / "there")]),
    ]
    command = " ".join(map(shlex.quote, program))
    for redirection in (">&-", ">&- 2>&-", "| true", "> /dev/full"):
        done = subprocess.run(["sh", "-c", f"{command} {redirection}"], capture_output=True, text=True)
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "state",
    [
        "{",
        "[]",
        '{"current": 5}',
        '{"current": {"env": "env-1"}}',
        "[" * 100_000,
        "\x00",
        '{"current": {"env": "env-1", "plugins": 7}}',
    ],
)
def test_a_damaged_state_file_is_no_traceback(tmp_path: Path, state: str) -> None:
    root = tmp_path / "there"
    root.mkdir()
    (root / "install-state.json").write_text(state)
    for words in (["doctor"], ["uninstall"]):
        program = [sys.executable, str(REPOSITORY / "install.py"), *words, "--prefix", str(root)]
        done = subprocess.run(program, capture_output=True, text=True)
        assert "Traceback" not in done.stdout + done.stderr
        (root / "install-state.json").write_text(state) if root.is_dir() else None
