"""Two installations share the editors' plugins: removing one leaves the other's working.

Both have an environment, a state and the assembled plugins. PyTorch is left out, and of the package is there
what assembles the plugins.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import assemble
import pytest
from installer import editors, sharing
from installer.console import Console
from installer.layout import Root, State
from installer.steps import Installation, Options
from installing import REPOSITORY, install

from glihamba_proto import interpreter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the editors' folders are fixed")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose person has used Krita and GIMP, with a data folder that nothing is installed in."""
    home = tmp_path / "home"
    (home / "GIMP" / "3.0" / "plug-ins").mkdir(parents=True)
    (home / "kritarc").touch()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("GLIHAMBA_DATA_DIR", raising=False)
    return home


def prefix(path: Path) -> Root:
    """An installation in this folder, made by the steps that concern the plugins."""
    root = Root(path)
    root.path.mkdir()
    made = Installation(root, Options(), Console(None, 8))
    made.begin()
    subprocess.run(
        interpreter.module(sys.executable, "venv", "--without-pip", str(path / made.env)), check=True
    )
    (packages,) = (path / made.env).glob("lib/python*/site-packages")
    (packages / "checkout.pth").write_text(f"{REPOSITORY / 'proto'}\n")
    for wheel in assemble.gather(assemble.WHEELS, sys.executable, ()):
        (path / "cache" / "plugin-wheels").mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, path / "cache" / "plugin-wheels")
    assert "not into" not in str(made.install_plugins())
    root.save(State(current={"env": made.env, "plugins": made.plugins, "version": "0.2.0"}))
    return root


def works(home: Path) -> bool:
    """Whether both editors have the whole plugin, which can be imported, and Krita's is enabled."""
    packages = home / "krita/pykrita/glihamba_krita", home / "GIMP/3.0/plug-ins/glihamba/glihamba_gimp"
    for package in packages:
        vendor = package / "vendor"
        code = f"import sys; sys.path.append({str(vendor)!r}); import glihamba_client.service"
        if subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True).returncode:
            return False
    return "enable_glihamba_krita=true" in (home / "kritarc").read_text()


def test_the_one_that_stays_keeps_its_plugins(home: Path, tmp_path: Path) -> None:
    first, second = prefix(tmp_path / "one"), prefix(tmp_path / "two")
    assert works(home)
    done = install("uninstall", "--purge", "--prefix", first.path)
    assert done.returncode == 0, done.stderr
    for kind in ("Krita", "GIMP 3.0"):
        said = f"Left in {kind}: the plugin, which the installation in {second.path.resolve()} uses\n"
        assert said in done.stdout
    assert not first.path.exists()
    assert works(home)
    done = install("uninstall", "--purge", "--prefix", second.path)
    assert done.returncode == 0, done.stderr
    assert "Left in" not in done.stdout
    assert not (home / "krita").exists()
    assert not list((home / "GIMP/3.0/plug-ins").iterdir())
    assert "glihamba" not in (home / "kritarc").read_text() if (home / "kritarc").exists() else True


def test_an_installation_that_is_gone_keeps_nothing(home: Path, tmp_path: Path) -> None:
    first, second = prefix(tmp_path / "one"), prefix(tmp_path / "two")
    shutil.rmtree(second.path)  # by hand
    done = install("uninstall", "--prefix", first.path)
    assert "Left in Krita" not in done.stdout
    assert not (home / "krita").exists()


@pytest.mark.parametrize("text", ["", "[", "{}", '{"installations": 3}', '{"installations": [1, null]}'])
def test_a_damaged_note_names_nobody(home: Path, tmp_path: Path, text: str) -> None:
    root = Root(tmp_path / "one")
    (editor,) = editors.gimps()
    (editor.folder / "glihamba").mkdir()
    editor.note.write_text(text)
    assert sharing.others(editor, root) == []
    sharing.add(editor, root)
    assert json.loads(editor.note.read_text()) == {"installations": [str(root.path.resolve())]}
