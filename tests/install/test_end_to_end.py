"""`python install.py` as a person runs it: install, harmonize a picture, and uninstall."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "backend" / "glihamba" / "demo"

KRITARC = "[General]\nlocale=de\n\n[python]\nenable_tenbrushes=true\n"


class Place(NamedTuple):
    home: Path
    root: Path
    environment: dict[str, str]

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(words, capture_output=True, text=True, env=self.environment)

    def install(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, REPOSITORY / "install.py", "--prefix", self.root, *arguments)

    @property
    def launcher(self) -> Path:
        return self.root / "bin" / ("glihamba.cmd" if sys.platform == "win32" else "glihamba")

    def state(self) -> dict[str, dict[str, str]]:
        return json.loads((self.root / "install-state.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home nobody lives in; only pip's cache and its configuration are this machine's.

    One installation serves all tests of this file, in their order.
    """
    folder = tmp_path_factory.mktemp("install")
    home, root = folder / "home", folder / "root"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIHAMBA_")}
    xdg = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", *xdg):
        environment[name] = str(home)
    (home / "kritarc").write_text(KRITARC)  # this person has used Krita
    (home / "GIMP" / "3.0" / "plug-ins").mkdir(parents=True)  # and GIMP
    cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True)
    if cache.returncode == 0:
        environment["PIP_CACHE_DIR"] = cache.stdout.strip()
    environment["PIP_NO_COMPILE"] = "1"  # most of what is installed is never imported here
    configured = [Path.home() / ".config" / "pip" / "pip.conf", Path.home() / ".pip" / "pip.conf"]
    if found := [path for path in configured if path.is_file()]:
        environment.setdefault("PIP_CONFIG_FILE", str(found[0]))
    place = Place(home, root, environment)
    yield place
    place.install("uninstall", "--purge")  # also when a test failed: no daemon stays behind


@pytest.fixture(scope="module")
def installed(place: Place) -> subprocess.CompletedProcess[str]:
    done = place.install("--device", "cpu")
    log = place.root / "logs" / "install.log"
    tail = log.read_text("utf-8")[-4000:] if log.exists() else ""
    assert done.returncode == 0, done.stdout + done.stderr + tail
    return done


def test_it_ends_with_a_harmonized_picture(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    import numpy as np
    from PIL import Image

    picture = place.root / "demo" / "before-after.png"
    assert f"Before and after: {picture}" in installed.stdout
    assert "Harmonized in " in installed.stdout
    assert "glihamba-tiny (the default) is for research and non-commercial use" in installed.stdout
    before, after, mask = (
        np.asarray(Image.open(path), dtype=np.float64)
        for path in (DEMO / "composite.jpg", place.root / "demo" / "harmonized.png", DEMO / "mask.png")
    )
    inside, scene = mask > 200, mask == 0
    assert np.array_equal(before[scene], after[scene])
    # The drum was lit by a lamp: in the forest's daylight it must lose a part of the orange.
    warmth = [float((image[inside, 0] - image[inside, 2]).mean()) for image in (before, after)]
    assert warmth[1] < warmth[0] - 10
    with Image.open(picture) as image:
        assert image.width > 2 * before.shape[1]


def test_the_kernels_are_compiled_before_the_first_picture(
    installed: subprocess.CompletedProcess[str], place: Place
) -> None:
    assert "Compiling for this processor ... " in installed.stdout
    assert "left to the first picture" not in installed.stdout
    env = place.root / place.state()["current"]["env"]
    assert len([*env.rglob("kernels.forward_kernel*.nbc")]) == 15  # five numbers of states, three widths


def test_the_command_runs_from_any_folder(
    installed: subprocess.CompletedProcess[str], place: Place, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    composite, mask = DEMO / "composite.jpg", DEMO / "mask.png"
    done = place.run(place.launcher, "harmonize", composite, "--mask", mask, "-o", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == (place.root / "demo" / "harmonized.png").read_bytes()
    assert (place.root / "run" / "endpoint.json").exists(), "the daemon it started is this installation's"


def test_plugins_find_the_daemon_s_command(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    command = json.loads((place.root / "daemon.json").read_text("utf-8"))["command"]
    assert Path(command[0]).is_file()
    assert Path(command[0]).is_relative_to(place.root)
    assert command[1:] == ["serve"]


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere Krita's folders have fixed places below the home"
)
def test_the_plugin_is_in_krita_and_enabled(
    installed: subprocess.CompletedProcess[str], place: Place
) -> None:
    assert "In Krita, once it is started anew: Tools > Scripts > Harmonize layer" in installed.stdout
    krita = place.home / "krita"
    assert (krita / "pykrita" / "glihamba_krita.desktop").is_file()
    assert (krita / "actions" / "glihamba_krita.action").is_file()
    assert (krita / "pykrita" / "glihamba_krita" / "vendor" / "grpclib").is_dir()
    assert not list(krita.rglob("*.so"))
    kritarc = (place.home / "kritarc").read_text("utf-8")
    assert kritarc == KRITARC.replace("[python]\n", "[python]\nenable_glihamba_krita=true\n")
    assert str(krita) in place.install("doctor").stdout


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere GIMP's folders have fixed places below the home"
)
def test_the_plugin_is_in_gimp(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    assert "In GIMP, once it is started anew: Filters > Enhance > Harmonize" in installed.stdout
    plugins = place.home / "GIMP" / "3.0" / "plug-ins"
    assert os.access(plugins / "glihamba" / "glihamba.py", os.X_OK)
    assert (plugins / "glihamba" / "glihamba_gimp" / "vendor" / "grpclib").is_dir()
    assert not list(plugins.rglob("*.so"))
    assert str(plugins) in place.install("doctor").stdout


def test_doctor_is_content(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    done = place.install("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Installed   " in done.stdout


def test_installing_again_only_tests(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    before = place.state()["current"]["env"]
    done = place.install("--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed already" in done.stdout
    assert "Installing PyTorch" not in done.stdout
    assert place.state()["current"]["env"] == before


def test_nothing_was_written_elsewhere(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    names = {path.name for path in place.home.iterdir()}
    assert names - {".rustup"} == {"kritarc", "krita", "GIMP"}  # the first is pyenv's own
    assert not (REPOSITORY / "build" / "lib").exists()
    assert not list((REPOSITORY / "backend").glob("*.egg-info"))


def test_a_damaged_environment_is_noticed_and_built_again_beside_it(
    installed: subprocess.CompletedProcess[str], place: Place
) -> None:
    """The test stops the rebuilding early with an index that cannot be reached."""
    env = place.root / place.state()["current"]["env"]
    (damaged,) = env.rglob("glihamba/cli.py")
    text = damaged.read_bytes()
    damaged.write_bytes(b"raise SystemError('damaged')\n")
    try:
        nowhere = place._replace(
            environment={
                **place.environment,
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_FIND_LINKS": "",
                "PIP_RETRIES": "0",
                "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            }
        )
        done = nowhere.install("--device", "cpu")
    finally:
        damaged.write_bytes(text)
    assert done.returncode == 1
    assert "did not pass its test" in done.stdout
    assert "It is built again." in done.stdout
    assert "[2/8] Making an environment ... done" in done.stdout
    assert "The package index did not provide a package" in done.stderr
    assert place.root / place.state()["current"]["env"] == env
    assert env.is_dir()


def test_uninstall_leaves_nothing(installed: subprocess.CompletedProcess[str], place: Place) -> None:
    assert place.run(place.launcher, "doctor").returncode == 0  # starts the daemon
    endpoint = json.loads((place.root / "run" / "endpoint.json").read_text("utf-8"))
    done = place.install("uninstall", "--purge")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not place.root.exists()
    if sys.platform == "linux":
        assert not (place.home / "krita").exists()
        assert (place.home / "kritarc").read_text("utf-8") == KRITARC
        assert not list((place.home / "GIMP" / "3.0" / "plug-ins").iterdir())
    import psutil

    assert not psutil.pid_exists(endpoint["pid"]), "the daemon was ended"
