"""In a Flatpak or a snap, a person is told that the sandbox hides the daemon, and what opens it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glihamba_client import launcher
from glihamba_client.client import call
from glihamba_client.errors import ClientError
from glihamba_proto import places

pytestmark = pytest.mark.usefixtures("own_home")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def flatpak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / ".flatpak-info"
    mark.write_text("[Application]\nname=org.kde.krita\n")
    monkeypatch.setattr(launcher, "FLATPAK_MARK", mark)
    monkeypatch.setenv("FLATPAK_ID", "org.kde.krita")
    monkeypatch.setenv("PATH", "")


def refused(command: list[str] | None = None) -> ClientError:
    with pytest.raises(ClientError) as failure:
        call(lambda: launcher.connect(command))
    return failure.value


@pytest.mark.usefixtures("flatpak")
def test_a_flatpak_is_told_its_override() -> None:
    error = refused()
    assert error.code == "SANDBOXED"
    folder = places.data_folder()
    command = f"“flatpak override --user --filesystem={folder} --share=network org.kde.krita”"
    assert command in error.sentence("en")
    assert command.replace("“", "„").replace("”", "“") in error.sentence("de")


@pytest.mark.usefixtures("flatpak")
def test_a_daemon_that_cannot_start_in_the_sandbox() -> None:
    assert refused([sys.executable, "-c", "raise SystemExit('no torch here')"]).code == "SANDBOXED"


def test_a_snap_is_told_that_it_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SNAP", "/snap/krita/1"), ("SNAP_NAME", "krita"), ("PATH", "")):
        monkeypatch.setenv(name, value)
    error = refused()
    assert error.code == "SANDBOXED"
    assert error.sentence("en").startswith("This program is a snap (krita), which cannot see hidden folders")


def test_outside_of_a_sandbox_nothing_of_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert refused().code == "NOT_INSTALLED"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap here")
def test_a_real_sandbox(own_home: Path, tmp_path: Path) -> None:
    """As Flatpak does it: the mark at the root, the person's folder hidden, no network of the system's."""
    (own_home / "run").mkdir(parents=True)
    (own_home / "daemon.json").write_text(json.dumps({"command": [sys.executable]}))
    mark = tmp_path.with_suffix(".info")
    mark.write_text("[Application]\nname=org.kde.krita\n")
    code = (
        "from glihamba_client import launcher\n"
        "from glihamba_client.client import call\n"
        "try:\n    call(launcher.connect)\n"
        "except Exception as error:\n    print(error)\n"
    )
    around = ["bwrap", "--dev", "/dev", "--proc", "/proc", "--unshare-net", "--unshare-pid"]
    for each in sorted(Path("/").iterdir()):  # a root of its own, in which the mark leaves no trace here
        if each.is_symlink():
            around += ["--symlink", str(each.readlink()), str(each)]
        elif each.is_dir() and each.name not in ("dev", "proc"):
            around += ["--ro-bind-try", str(each), str(each)]
    around += ["--tmpfs", str(own_home.parent), "--ro-bind", str(mark), "/.flatpak-info"]
    around += ["--setenv", "FLATPAK_ID", "org.kde.krita"]
    paths = os.pathsep.join(str(REPOSITORY / each) for each in ("proto", "plugins/shared"))
    environment = {**os.environ, "PYTHONPATH": paths, "PATH": "/usr/bin"}
    done = subprocess.run(
        [*around, sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    if "bwrap:" in done.stderr:
        pytest.skip(f"bubblewrap does not work here: {done.stderr.strip()}")
    assert not Path("/.flatpak-info").exists()
    assert f"flatpak override --user --filesystem={own_home} --share=network org.kde.krita" in done.stdout, (
        done
    )
