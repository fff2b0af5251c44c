"""A real Krita under Xvfb with a profile of its own, and the cases that run inside it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apps
import assemble
from apps import REPOSITORY, cases_of, check  # noqa: F401

HERE = REPOSITORY / "tests" / "krita"
CACHE = REPOSITORY / "build" / "krita"
NEEDED = ("krita", "kritarunner", "Xvfb")

# Another Debian's Krita in a folder, made by other_krita.sh.
OTHER_ROOT = os.environ.get("GLIHAMBA_KRITA_ROOT", "")


def command_of(program: str, *arguments: str) -> list[str]:
    """Return the command of `krita` or `kritarunner`, of this system or of the other root."""
    return apps.in_root(OTHER_ROOT, ["nice", "-n", "10", program, *arguments])


def missing() -> str:
    """Return why Krita cannot run here, or an empty text."""
    if OTHER_ROOT:
        ready = (Path(OTHER_ROOT) / ".ready").exists()
        return "" if ready else f"there is no Krita in {OTHER_ROOT}: tests/krita/other_krita.sh makes one"
    absent = [name for name in NEEDED if not shutil.which(name)]
    if not absent:
        return ""
    packages = "krita python3-pyqt5 xvfb xauth"
    return (
        f"no {', '.join(absent)} here: as root on Debian, .ci/run installs them (apt-get install {packages})"
    )


class Profile:
    """The folders of one Krita, which uses nothing of the person's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("config", "data/krita/pykrita", "data/krita/actions", "cache", "run", "home"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "run").chmod(0o700)

    @property
    def resources(self) -> Path:
        return self.folder / "data" / "krita"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("GLIHAMBA_DATA_DIR",) if name in os.environ}
        return {
            **kept,
            # The Python inside Krita takes the first python3 on the path for its own: a version manager's
            # has no PyQt5.
            "PATH": os.defpath,
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "en",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "QT_LOGGING_RULES": "*.debug=false",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def enable(self, *plugins: str) -> None:
        lines = [f"enable_{name}=true" for name in plugins]
        (self.folder / "config" / "kritarc").write_text("\n".join(["[python]", *lines, ""]))

    def add_driver(self) -> None:
        pykrita = self.resources / "pykrita"
        shutil.copytree(HERE / "driver", pykrita / "glihamba_test_driver", dirs_exist_ok=True)
        (pykrita / "glihamba_test_driver.desktop").write_text(
            "[Desktop Entry]\nType=Service\nServiceTypes=Krita/PythonPlugin\n"
            "X-KDE-Library=glihamba_test_driver\nX-Python-2-Compatible=false\nName=Test driver\n"
        )


def installed(folder: Path) -> Profile:
    """A Krita that has been started before, with the driver and the plugin as install.py installs it."""
    made = Profile(folder)
    warm(made)
    made.add_driver()
    assemble.assemble("krita", made.resources)
    made.enable("glihamba_test_driver", "glihamba_krita")
    return made


def warm(profile: Profile) -> None:
    """Give the profile Krita's imported resources, which would take ten seconds of the first start."""
    for path in warm_resources().iterdir():
        shutil.copy2(path, profile.resources / path.name)


def warm_resources() -> Path:
    """A folder with the resources that Krita's first start imports, made once for each version of Krita."""
    version = re.sub(r"\W+", "-", _package_version())
    folder = CACHE / f"resources-{version}"
    if not folder.is_dir():
        first = Profile(CACHE / f"first-start-{os.getpid()}")
        first.add_driver()
        first.enable("glihamba_test_driver")
        script = first.folder / "nothing.py"
        script.write_text("def case_nothing(t):\n    yield 1.0\n")
        run(first, script, first.folder)
        part = CACHE / f"resources-{os.getpid()}.part"
        part.mkdir(parents=True)
        for path in first.resources.iterdir():
            if path.suffix in (".sqlite", ".bundle") or path.name == "KRITA_RESOURCE_VERSION":
                shutil.copy2(path, part / path.name)
        with contextlib.suppress(OSError):  # a parallel test was faster
            os.replace(part, folder)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(first.folder)
    return folder


def _package_version() -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**Profile(Path(folder)).environment, "QT_QPA_PLATFORM": "offscreen"}
        done = subprocess.run(
            command_of("krita", "--version"), capture_output=True, text=True, env=environment
        )
    return done.stdout.strip() or "unknown"


def run(
    profile: Profile,
    script: Path,
    folder: Path,
    *,
    cases: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a script's cases in Krita; returns the driver's report. Everything started here has ended."""
    environment = {
        **profile.environment,
        **apps.told(script, folder, cases),
        **(extra or {}),
    }
    xvfb, display = apps.start_xvfb()
    try:
        with (folder / "krita.log").open("wb") as log:
            done = subprocess.run(
                command_of("krita", "--nosplash"),
                env={**environment, "DISPLAY": display},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    finally:
        xvfb.terminate()
        xvfb.wait(20)
    return apps.reported(folder, "krita.log", done.returncode)
