"""Krita's folders on each system, and their content after installing and removing the plugin."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import assemble
import pytest
from installer import editors
from installer.editors import Krita, kritas
from installing import REPOSITORY

ENABLED = "enable_glihamba_krita=true"


def folders(found: list[Krita], home: Path) -> dict[str, tuple[str, str]]:
    return {
        krita.kind: (krita.resources.relative_to(home).as_posix(), krita.config.relative_to(home).as_posix())
        for krita in found
    }


def test_linux_package_flatpak_and_snap(tmp_path: Path) -> None:
    assert kritas("linux", {"PATH": ""}, tmp_path) == []
    for name in (".config", ".var/app/org.kde.krita", "snap/krita/current"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".config" / "kritarc").touch()  # the AppImage uses them too
    assert folders(kritas("linux", {"PATH": ""}, tmp_path), tmp_path) == {
        "Krita": (".local/share/krita", ".config/kritarc"),
        "Krita (Flatpak)": (
            ".var/app/org.kde.krita/data/krita",
            ".var/app/org.kde.krita/config/kritarc",
        ),
        "Krita (snap)": ("snap/krita/current/.local/share/krita", "snap/krita/current/.config/kritarc"),
    }


def test_linux_with_folders_of_the_person_s_own(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "krita"
    program.parent.mkdir()
    program.touch(0o755)
    environ = {
        "PATH": str(program.parent),
        "XDG_DATA_HOME": str(tmp_path / "d"),
        "XDG_CONFIG_HOME": str(tmp_path / "c"),
    }
    assert folders(kritas("linux", environ, tmp_path), tmp_path) == {"Krita": ("d/krita", "c/kritarc")}


def test_windows_installer_and_store(tmp_path: Path) -> None:
    roaming, local = tmp_path / "AppData" / "Roaming", tmp_path / "AppData" / "Local"
    (roaming / "krita").mkdir(parents=True)
    store = local / "Packages" / "49800Krita_RCA8" / "LocalCache"
    (store / "Roaming" / "krita").mkdir(parents=True)
    for environ in ({}, {"APPDATA": str(roaming), "LOCALAPPDATA": str(local)}):
        assert folders(kritas("win32", environ, tmp_path), tmp_path) == {
            "Krita": ("AppData/Roaming/krita", "AppData/Local/kritarc"),
            "Krita (Store)": (
                "AppData/Local/Packages/49800Krita_RCA8/LocalCache/Roaming/krita",
                "AppData/Local/Packages/49800Krita_RCA8/LocalCache/Local/kritarc",
            ),
        }


def test_macos(tmp_path: Path) -> None:
    assert kritas("darwin", {}, tmp_path) == []
    (tmp_path / "Applications" / "krita.app").mkdir(parents=True)
    wanted = ("Library/Application Support/krita", "Library/Preferences/kritarc")
    assert folders(kritas("darwin", {}, tmp_path), tmp_path) == {"Krita": wanted}


def test_a_resource_folder_chosen_in_krita(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    config = tmp_path / ".config" / "kritarc"
    config.parent.mkdir()
    config.write_text(f"ResourceDirectory={tmp_path / 'elsewhere'}\n")
    assert kritas("linux", {"PATH": ""}, tmp_path)[0].resources == tmp_path / "elsewhere"
    config.write_text(f"ResourceDirectory={tmp_path / 'unplugged'}\n")
    assert kritas("linux", {"PATH": ""}, tmp_path)[0].resources == tmp_path / ".local/share/krita"


@pytest.mark.parametrize(
    ("before", "enabled"),
    [
        (None, f"[python]\n{ENABLED}\n"),
        ("[General]\na=1\n", f"[General]\na=1\n\n[python]\n{ENABLED}\n"),
        (
            "a=1\n\n[python]\nenable_x=true\n\n[z]\nb=2\n",
            f"a=1\n\n[python]\n{ENABLED}\nenable_x=true\n\n[z]\nb=2\n",
        ),
    ],
)
def test_enabled_and_removed_without_trace(tmp_path: Path, before: str | None, enabled: str) -> None:
    krita = Krita("Krita", tmp_path / "data" / "krita", tmp_path / "config" / "kritarc")
    krita.config.parent.mkdir()
    if before is not None:
        krita.config.write_text(before)
    assemble.assemble("krita", krita.resources)
    krita.enable()
    krita.enable()
    assert krita.config.read_text() == enabled
    assert krita.has_plugin
    assert Krita.of(krita.entry) == krita
    krita.remove()
    krita.remove()
    assert not krita.resources.exists()
    assert (krita.config.read_text() if krita.config.exists() else None) == before


def test_removing_leaves_other_plugins_and_a_plugin_that_was_switched_off(tmp_path: Path) -> None:
    krita = Krita("Krita", tmp_path / "krita", tmp_path / "kritarc")
    other = krita.resources / "pykrita" / "other" / "__init__.py"
    other.parent.mkdir(parents=True)
    other.touch()
    assemble.assemble("krita", krita.resources)
    krita.config.write_text("[python]\nenable_glihamba_krita=false\nenable_other=true\n")
    krita.remove()
    assert [path.name for path in krita.resources.rglob("*.py")] == ["__init__.py"]
    assert krita.config.read_text() == "[python]\nenable_other=true\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes, and links that anybody may make")
def test_a_link_stays_one_and_modes_and_foreign_bytes_stay(tmp_path: Path) -> None:
    """kritarc may be a link, as stow and chezmoi make it, in any encoding."""
    kept, before = tmp_path / "kept" / "kritarc", b"[a]\nname=B\xe4r\x85\n[z]\nb=\xe2\x80\xa8\n"
    kept.parent.mkdir()
    kept.write_bytes(before)
    kept.chmod(0o600)
    krita = Krita("Krita", tmp_path / "krita", tmp_path / "kritarc")
    krita.config.symlink_to(kept)
    krita.enable()
    assert kept.read_bytes() == before + f"\n[python]\n{ENABLED}\n".encode()
    krita.remove()
    for path in (krita.config, kept):
        assert path.read_bytes() == before
        assert path.stat().st_mode & 0o777 == 0o600
    assert krita.config.is_symlink()
    assert [path.name for path in kept.parent.iterdir()] == ["kritarc"]

    kept.write_text("")
    krita.enable()
    krita.remove()
    assert krita.config.is_symlink()
    assert not kept.read_text().strip()


def test_what_is_removed_is_what_is_assembled(tmp_path: Path) -> None:
    written = assemble.assemble("krita", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == list(editors.KRITA_PLUGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["actions", "pykrita"]


def test_the_plugin_is_pure_python_and_whole(tmp_path: Path) -> None:
    """Imports with nothing but the standard library and the vendored wheels, all site-packages hidden."""
    assemble.assemble("krita", tmp_path)
    package = tmp_path / "pykrita" / "glihamba_krita"
    foreign = [
        path for path in package.rglob("*") if path.suffix in (".so", ".pyd", ".dll", ".dylib", ".pyc")
    ]
    assert not foreign
    program = (
        f"import sys; sys.path.append({str(package / 'vendor')!r});"
        "import glihamba_client.service, glihamba_client.harmonize_layer as h;"
        "import grpclib, google.protobuf; print(h.__file__, grpclib.__file__, google.protobuf.__file__);"
        "from glihamba_proto import messages; print(messages._FOLDER);"
        "assert messages.stage('QUEUED', 'de') == 'Warten auf andere Aufträge'"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(Path(name).is_relative_to(package / "vendor") for name in done.stdout.split())


def test_an_older_plugin_is_replaced_whole(tmp_path: Path) -> None:
    assemble.assemble("krita", tmp_path)
    old = tmp_path / "pykrita" / "glihamba_krita" / "from_an_older_version.py"
    old.touch()
    assemble.assemble("krita", tmp_path)
    assert not old.exists()
    assert (old.parent / "extension.py").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["actions", "pykrita"]


def test_the_archive_is_laid_out_for_krita_s_importer(tmp_path: Path) -> None:
    archive = assemble.pack("krita", tmp_path / "glihamba-krita.zip")
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    assert "pykrita/glihamba_krita/" in names, "the importer looks for the folder's own entry"
    assert "pykrita/glihamba_krita/__init__.py" in names
    assert sum(name.endswith(".desktop") for name in names) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["glihamba-krita.zip"]


def test_no_wheels_and_no_network_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "plugins" / "assemble.py"), "krita", str(tmp_path / "there")]
    command += ["--wheels", str(tmp_path / "wheels"), "--pip=--no-index"]
    environ = {"PATH": "", "PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("The packages of the plugin could not be downloaded (")
    assert done.stderr.strip().endswith(f"put their pure-Python wheels into {tmp_path / 'wheels'}.")
    assert not (tmp_path / "there" / "pykrita").exists()


def test_wheels_of_others_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "protobuf-5.28.0-py3-none-any.whl",
        "protobuf-6.31.1-py3-none-any.whl",
        "protobuf-6.9.0-py3-none-any.whl",
        "protobuf-8.0.0-py3-none-any.whl",
        "protobuf-7.1.0-cp310-abi3-linux_x86_64.whl",
        "protobuf_extra-7.0.0-py3-none-any.whl",
    ):
        (tmp_path / name).touch()
    found = assemble.newest(tmp_path, "protobuf>=5.29,<8")
    assert found is not None
    assert found.name == "protobuf-6.31.1-py3-none-any.whl"
    assert assemble.newest(tmp_path, "grpclib>=0.4.8,<0.5") is None
