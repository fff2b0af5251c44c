"""install.py without an installation: what it refuses, what it leaves and what it prints."""

from __future__ import annotations

import ast
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from installer import layout, machine, steps
from installer.console import Console, InstallError, clean_environment
from installer.layout import Root, State
from installer.main import main
from installer.steps import Installation, Options
from installing import REPOSITORY, install

from glihamba import settings
from glihamba_proto import places


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own."""
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


# --- before anything is done ---------------------------------------------------------------------


@pytest.mark.parametrize("version", [(2, 7), (3, 9), (3, 14)])
def test_another_python_gets_a_sentence(version: tuple[int, int]) -> None:
    code = (
        f"import sys; sys.version_info = {(*version, 0, 'final', 0)}; sys.argv = ['install.py'];"
        f"exec(compile(open({str(REPOSITORY / 'install.py')!r}).read(), 'install.py', 'exec'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"GLIHamba needs Python 3.10 to 3.13, and this is Python {version[0]}.{version[1]}."
        " Run install.py with one of those, for example: python3.12 install.py"
    )


def test_old_pythons_can_read_the_file_that_says_so() -> None:
    tree = ast.parse((REPOSITORY / "install.py").read_text("utf-8"), feature_version=(3, 4))
    assert not any(isinstance(node, ast.JoinedStr | ast.NamedExpr) for node in ast.walk(tree))


def test_the_range_of_pythons_is_the_distribution_s() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    assert 'requires-python = ">=3.10,<3.14"' in text
    assert f'"{machine.TORCH}"' in text


def test_a_dry_run_names_every_step_and_does_nothing(tmp_path: Path) -> None:
    done = install("--dry-run", "--prefix", tmp_path / "there")
    assert done.returncode == 0, done.stderr
    for number in range(1, 9):
        assert f"[{number}/8]" in done.stdout
    assert "-m venv" in done.stdout
    assert "pip install torch>=2.13,<2.14" in done.stdout
    assert "Compiling for this processor" in done.stdout
    assert "glihamba serve" in done.stdout
    assert "daemon.json" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_the_tests_does_nothing(tmp_path: Path) -> None:
    done = install("test", "--dry-run", "--prefix", tmp_path / "there", "--", "-k", "nothing")
    assert done.returncode == 0, done.stderr
    assert "--editable" in done.stdout
    assert "-m pytest -k nothing" in done.stdout
    whole = install("test", "--dry-run", "--prefix", tmp_path / "there")
    assert "-m pytest --numprocesses" in whole.stdout
    fast = install("test", "--fast", "--dry-run", "--prefix", tmp_path / "there")
    assert "-m pytest --numprocesses" in fast.stdout
    assert fast.stdout.rstrip().endswith(" --fast")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("order", ["before", "after"])
def test_options_count_before_and_after_the_command(order: str, tmp_path: Path, capsys: Any) -> None:
    where = ["--prefix", str(tmp_path / "there")]
    assert main([*where, "uninstall"] if order == "before" else ["uninstall", *where]) == 0
    assert capsys.readouterr().out == f"Nothing is installed in {tmp_path / 'there'}.\n"


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize(
    "environ",
    [{}, {"LOCALAPPDATA": "/local"}, {"SNAP_REAL_HOME": "/real"}, {"GLIHAMBA_DATA_DIR": "/elsewhere"}],
)
def test_the_data_folder_is_the_daemon_s_and_the_plugins(
    system: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCALAPPDATA", "SNAP_REAL_HOME", "GLIHAMBA_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert layout.default_root() == places.data_folder() == settings.in_force().data_dir
    assert places.data_folder(system, environ) == settings.in_force(environ, platform=system).data_dir


def test_a_relative_data_folder_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", "kept/here")
    assert main(["uninstall"]) == 1
    assert "GLIHAMBA_DATA_DIR must be an absolute path, but is 'kept/here'" in capsys.readouterr().err


def test_a_folder_with_other_people_s_files_is_refused(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "thesis.odt").write_text("years")
    for command in (["--prefix", str(tmp_path)], ["uninstall", "--purge", "--prefix", str(tmp_path)]):
        assert main(command) == 1
        assert (tmp_path / "thesis.odt").read_text() == "years"
    said = capsys.readouterr().err
    assert f"{tmp_path} holds files that GLIHamba did not put there (thesis.odt); name an empty" in said
    assert f"{tmp_path} is not an installation of GLIHamba. Nothing was deleted." in said


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--prefix", str(tmp_path / "file")]) == 1
    assert "is a file; name a folder with --prefix." in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not even root's")
def test_a_place_that_cannot_be_written_is_refused(capsys: Any) -> None:
    assert main(["--prefix", "/proc/glihamba"]) == 1
    assert "Nothing can be written in /proc" in capsys.readouterr().err


def test_a_disk_too_small_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(machine._SPACE_GB, "cpu", 1e9)
    assert main(["--device", "cpu", "--prefix", str(tmp_path / "there")]) == 1
    assert "GB free and the installation needs about 1000000000 GB: make room" in capsys.readouterr().err
    assert not (tmp_path / "there").exists()


def test_a_python_without_venv_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert main(["--prefix", str(tmp_path / "there")]) == 1
    version = ".".join(platform.python_version_tuple()[:2])
    assert f"sudo apt install python{version}-venv" in capsys.readouterr().err


def test_wheels_must_be_a_folder(tmp_path: Path, capsys: Any) -> None:
    assert main(["--offline", "--wheels", str(tmp_path / "none")]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_two_at_once_are_refused(tmp_path: Path, capsys: Any) -> None:
    root = Root(tmp_path / "there")
    root.path.mkdir()
    root.save(State())
    with root.locked():
        assert main(["--prefix", str(root.path)]) == 1
    assert f"Another install.py is at work in {root.path}" in capsys.readouterr().err


def test_doctor_says_when_nothing_or_half_is_installed(home: Path, capsys: Any) -> None:
    assert main(["doctor"]) == 1
    assert "Installed   nothing: run install.py" in capsys.readouterr().out
    root = Root(home)
    root.path.mkdir()
    building = {"env": "env-2", "key": {}, "done": []}
    root.save(State(current={"env": "env-1"}, building=building))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "an installation was interrupted: run install.py again" in said
    assert "its environment is gone: run install.py again" in said


# --- half-finished and broken states -------------------------------------------------------------


def installation(root: Root) -> Installation:
    return Installation(root, Options(), Console(None, 8))


def test_a_half_built_environment_of_the_same_kind_is_finished(tmp_path: Path, capsys: Any) -> None:
    root = Root(tmp_path)
    key = installation(root)._key()
    (tmp_path / "env-4").mkdir()
    root.save(State(building={"env": "env-4", "key": key, "done": ["environment", "torch"]}))
    again = installation(root)
    again.begin()
    assert again.env == "env-4"
    assert again.make_environment() == again.install_torch() == "there already"
    assert "it will be finished" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"python": "3.1"}, {"device": "cuda"}])
def test_one_of_another_kind_is_begun_again(change: dict[str, str], tmp_path: Path) -> None:
    root = Root(tmp_path)
    key = installation(root)._key() | change
    (tmp_path / "env-4").mkdir()
    root.save(State(building={"env": "env-4", "key": key, "done": ["environment"]}))
    again = installation(root)
    again.begin()
    assert again.env == "env-5"
    again._clear_away()
    assert not (tmp_path / "env-4").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"current": {"env": "../.."}}', '{"current": {}}', '{"building": 3}']
)
def test_a_state_file_that_says_nothing_counts_as_none(text: str, tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.state_file.write_text(text)
    assert root.load() == State()


def test_uninstall_removes_the_program_and_purge_the_data(tmp_path: Path, capsys: Any) -> None:
    root = Root(tmp_path / "root")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    for name in ("env-1/lib", "bin", "demo", "models", "run", "logs"):
        (root.path / name).mkdir(parents=True)
    for name in ("daemon.json.part", ".daemon.json.0a1b2c3d.part", ".settings.json.0a1b2c3d.part"):
        (root.path / name).write_text("what a killed process left")
    (root.path / "env-1" / "link").symlink_to(outside, target_is_directory=True)
    (root.path / "models" / "linked").symlink_to(outside, target_is_directory=True)
    (root.path / "models" / "mine.safetensors").write_bytes(b"weights")
    (root.path / "env-1" / "readonly").write_text("")
    (root.path / "env-1" / "readonly").chmod(0o400)
    root.save(State())
    assert main(["uninstall", "--prefix", str(root.path)]) == 0
    assert not list(root.path.glob("*daemon.json*"))
    assert f"Left in {root.path}: .settings.json.0a1b2c3d.part, models" in capsys.readouterr().out
    assert (root.path / "models" / "mine.safetensors").read_bytes() == b"weights"
    assert main(["uninstall", "--purge", "--prefix", str(root.path)]) == 0
    assert not root.path.exists()
    assert (outside / "precious").read_text() == "kept"


def test_purge_leaves_what_is_not_ours(tmp_path: Path, capsys: Any) -> None:
    root = Root(tmp_path)
    root.save(State())
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["uninstall", "--purge", "--prefix", str(tmp_path)]) == 0
    assert f"Left in {tmp_path}: notes.txt" in capsys.readouterr().out
    assert (tmp_path / "notes.txt").read_text() == "mine"


# --- small things ----------------------------------------------------------------------------------


def test_what_would_mislead_pip_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    passed = clean_environment({"EXTRA": "1"})
    assert not {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_USER", "VIRTUAL_ENV"} & passed.keys()
    assert passed["HTTPS_PROXY"] == "http://proxy:3128"
    assert passed["EXTRA"] == "1"


def test_the_launcher_says_where_the_data_is(tmp_path: Path, home: Path) -> None:
    elsewhere = steps._launcher_text(Root(tmp_path / "a folder"), "/x y/glihamba")
    assert "GLIHAMBA_DATA_DIR=" in elsewhere
    assert "a folder" in elsewhere
    assert "GLIHAMBA_DATA_DIR" not in steps._launcher_text(Root(home), "/x/glihamba")


def test_a_step_that_fails_says_so(capsys: Any) -> None:
    def fail() -> None:
        raise InstallError("The moon is full.")

    with pytest.raises(InstallError):
        Console(None, 1).step("Trying", fail)
    assert capsys.readouterr().out == "[1/1] Trying ... failed\n"


def test_the_state_is_written_whole(tmp_path: Path) -> None:
    root = Root(tmp_path)
    began = time.time()
    root.save(State(current={"env": "env-1", "at": began}))
    assert json.loads(root.state_file.read_text("utf-8"))["current"]["at"] == began
    assert [path.name for path in tmp_path.iterdir()] == ["install-state.json"]


def test_it_says_what_each_model_may_be_used_for(tmp_path: Path) -> None:
    from installer import models

    def record(name: str, licence: str, source: str = "package") -> None:
        text = json.dumps({"name": name, "licence": licence, "source": source})
        (tmp_path / f"{name}.json").write_text(text)

    (tmp_path / "default.txt").write_text("strong\n")
    record("free", "Weights for any use: CC BY-SA 4.0. Credits are in free.NOTICE.txt.")
    record("strong", "Weights for research and non-commercial use: most photographs are for research only")
    record("statistics", "MIT", "none")
    assert models.uses(tmp_path) == (
        "Models: strong (the default) is for research and non-commercial use; free is for any use."
    )
    assert models.uses() == (
        "Models: glihamba-tiny (the default) is for research and non-commercial use;"
        " glihamba-tiny-free is for any use, under CC BY-SA 4.0."
    )
