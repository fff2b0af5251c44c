"""GIMP 3's folders on each system, and their content after installing and removing our plug-in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import assemble
import pytest
from installer import editors
from installer.editors import Gimp, Krita, gimp_hint, gimps

NOTHING = {"PATH": ""}


def made(home: Path, *names: str) -> Path:
    for name in names:
        (home / name).mkdir(parents=True)
    return home


def folders(found: list[Gimp], home: Path) -> dict[str, str]:
    return {gimp.kind: gimp.folder.relative_to(home).as_posix() for gimp in found}


def test_linux_every_version_package_flatpak_and_snap(tmp_path: Path) -> None:
    assert gimps("linux", NOTHING, tmp_path) == []
    made(
        tmp_path,
        *(f".config/GIMP/{name}" for name in ("2.10", "3.0", "3.2", "brushes")),
        ".var/app/org.gimp.GIMP/config/GIMP/3.0",
        "snap/gimp/current/.config/GIMP/3.2",
    )
    assert folders(gimps("linux", NOTHING, tmp_path), tmp_path) == {
        "GIMP 3.0": ".config/GIMP/3.0/plug-ins",
        "GIMP 3.2": ".config/GIMP/3.2/plug-ins",
        "GIMP 3.0 (Flatpak)": ".var/app/org.gimp.GIMP/config/GIMP/3.0/plug-ins",
        "GIMP 3.2 (snap)": "snap/gimp/current/.config/GIMP/3.2/plug-ins",
    }


def test_linux_with_a_folder_of_the_person_s_own(tmp_path: Path) -> None:
    made(tmp_path, "c/GIMP/3.0")
    environ = {**NOTHING, "XDG_CONFIG_HOME": str(tmp_path / "c")}
    assert folders(gimps("linux", environ, tmp_path), tmp_path) == {"GIMP 3.0": "c/GIMP/3.0/plug-ins"}


def test_windows_and_macos(tmp_path: Path) -> None:
    made(tmp_path, "AppData/Roaming/GIMP/3.0", "Library/Application Support/GIMP/3.2")
    made(tmp_path, "AppData/Local/Packages/GIMP.43237F745459/LocalCache/Roaming/GIMP/3.0")
    roaming = {"APPDATA": str(tmp_path / "AppData" / "Roaming")}
    for environ in (NOTHING, {**NOTHING, **roaming}):
        assert folders(gimps("win32", environ, tmp_path), tmp_path) == {
            "GIMP 3.0": "AppData/Roaming/GIMP/3.0/plug-ins",
            "GIMP 3.0 (Store)": (
                "AppData/Local/Packages/GIMP.43237F745459/LocalCache/Roaming/GIMP/3.0/plug-ins"
            ),
        }
    assert folders(gimps("darwin", NOTHING, tmp_path), tmp_path) == {
        "GIMP 3.2": "Library/Application Support/GIMP/3.2/plug-ins"
    }


def program(folder: Path, name: str) -> dict[str, str]:
    folder.mkdir()
    (folder / name).touch(0o755)
    return {"PATH": str(folder)}


OLD = "GIMP 2.10 cannot run the plugin, because it starts plug-ins in another way: update to GIMP 3,"


def test_gimp_2_10_gets_a_sentence(tmp_path: Path) -> None:
    assert gimp_hint("linux", NOTHING, tmp_path) == ""
    assert gimp_hint("linux", program(tmp_path / "bin", "gimp-2.10"), tmp_path).startswith(OLD)
    made(tmp_path, ".config/GIMP/2.10")
    assert gimps("linux", NOTHING, tmp_path) == []
    assert gimp_hint("linux", NOTHING, tmp_path).startswith(OLD)
    made(tmp_path, ".config/GIMP/3.0")
    assert gimp_hint("linux", NOTHING, tmp_path) == "", "the old folder stays after an update"


def test_a_gimp_that_was_never_started_gets_a_sentence(tmp_path: Path) -> None:
    """GIMP's first start imports the settings of an older GIMP, unless its folder exists already."""
    environ = program(tmp_path / "bin", "gimp-3.0")
    assert gimps("linux", environ, tmp_path) == []
    assert gimp_hint("linux", environ, tmp_path) == (
        "GIMP 3 has not been started yet: start it once, then run install.py again"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_installed_and_removed_without_trace(tmp_path: Path) -> None:
    gimp = Gimp("GIMP 3.0", tmp_path / "plug-ins")
    other = made(gimp.folder, "other") / "other" / "other.py"
    other.touch()
    assert not gimp.has_plugin
    for _ in range(2):  # the second time it is replaced
        assemble.assemble("gimp", gimp.folder)
        gimp.enable()
    assert gimp.has_plugin
    assert sorted(path.name for path in gimp.folder.iterdir()) == ["glihamba", "other"]
    assert Gimp.of(gimp.entry) == gimp
    gimp.remove()
    gimp.remove()
    assert list(gimp.folder.iterdir()) == [other.parent]
    assert other.exists()


def test_an_entry_finds_its_editor(tmp_path: Path) -> None:
    krita, gimp = Krita("Krita", tmp_path, tmp_path / "kritarc"), Gimp("GIMP 3.0", tmp_path)
    assert editors.of(krita.entry) == krita
    assert editors.of(gimp.entry) == gimp
    made(tmp_path, ".config/GIMP/3.0", ".local/share/krita")
    assert [editor.host for editor in editors.editors("linux", NOTHING, tmp_path)] == ["krita", "gimp"]


def test_gimp_can_start_it(tmp_path: Path) -> None:
    """A folder and an executable program of the same name in it, whose first line names the interpreter."""
    package, script = assemble.assemble("gimp", tmp_path)
    assert script == tmp_path / editors.GIMP_PLUGIN / f"{editors.GIMP_PLUGIN}.py"
    assert package.parent == script.parent
    assert script.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    if os.name == "posix":
        assert os.access(script, os.X_OK)


@pytest.mark.parametrize("module", ["glihamba_client.service", "glihamba_client.texts"])
def test_the_plugin_is_pure_python_and_whole(tmp_path: Path, module: str) -> None:
    package, _ = assemble.assemble("gimp", tmp_path)
    assert not [path for path in package.rglob("*") if path.suffix in (".so", ".pyd", ".dll", ".dylib")]
    code = (
        f"import sys; sys.path.append({str(package / 'vendor')!r}); import {module} as m; print(m.__file__)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(package)
