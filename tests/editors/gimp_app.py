"""A real GIMP 3 with a profile of its own, with or without a screen, and the cases that run inside it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apps
from apps import REPOSITORY

from glihamba_proto.files import replacing

HERE = REPOSITORY / "tests" / "gimp"
CACHE = REPOSITORY / "build" / "gimp"
# This system's own GIMP 3 where there is one; else, or by the variable, that of a Debian in a folder.
_MADE = REPOSITORY / "build" / "gimp" / "trixie"
_OWN = any(shutil.which(f"gimp-console-{series}") for series in ("3.0", "3.2"))
ROOT = os.environ.get("GLIHAMBA_GIMP_ROOT", "" if _OWN else str(_MADE))


def missing() -> str:
    """Return why GIMP cannot run here, or an empty text."""
    if not ROOT:
        absent = [
            name
            for name in ("Xvfb", "matchbox-window-manager", "xdotool", "import")
            if not shutil.which(name)
        ]
        return f"no {', '.join(absent)} here" if absent else ""
    if not (Path(ROOT) / ".ready").exists():
        return (
            f"there is no GIMP in {ROOT}: as root on Debian, .ci/run makes one with tests/gimp/gimp_root.sh"
        )
    return "" if os.geteuid() == 0 else f"only root may start the GIMP in {ROOT}"


def series() -> str:
    """The newest installed GIMP, e.g. "3.0"."""
    found = [
        path.name
        for folder in (f"{ROOT}/usr/bin", f"{ROOT}/bin")
        for path in Path(folder).glob("gimp-console-3.*")
    ]
    return max(re.findall(r"3\.\d+", " ".join(found)), key=lambda text: int(text[2:]))


@functools.cache
def version() -> str:
    """Its full version, e.g. "3.0.4"."""
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}
    command = command_of(f"gimp-console-{series()}", "--version")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return re.findall(r"\d+\.\d+\.\d+", done.stdout)[0]


def known_plugins() -> Path:
    """What a first start has learned of GIMP's own plug-ins: each start would ask a hundred programs anew.

    GIMP still asks those that the file does not name, or whose time has changed since.
    """
    return CACHE / f"pluginrc-{version()}-{hashlib.sha256(ROOT.encode()).hexdigest()[:8]}"


def command_of(*words: str) -> list[str]:
    return apps.in_root(ROOT, ["nice", "-n", "5", *words])


class Profile:
    """The folders of one GIMP, which uses nothing of the person's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / ".config" / "GIMP" / series()
        self.plugins.mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)
        lines = (
            f'(config-version "{version()}")',  # without it GIMP welcomes a new person
            '(prev-language "en-C.UTF-8")',  # in another language GIMP asks all plug-ins anew
            "(show-welcome-dialog no)",
            "(check-updates no)",
            "",
        )
        (self.settings / "gimprc").write_text("\n".join(lines))
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(known_plugins(), self.settings / "pluginrc")
        self.add("meanwhile")

    @property
    def plugins(self) -> Path:
        return self.settings / "plug-ins"

    @property
    def vendor(self) -> Path:
        """The packages that the plug-in carries, once it is assembled."""
        return self.plugins / "glihamba" / "glihamba_gimp" / "vendor"

    def add(self, name: str) -> None:
        """A test-only plug-in from the folder of that name."""
        shutil.copytree(HERE / name, self.plugins / name)
        (self.plugins / name / f"{name}.py").chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("GLIHAMBA_DATA_DIR",) if name in os.environ}
        return {
            **kept,
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "en",
            "NO_AT_BRIDGE": "1",
            "LIBGL_ALWAYS_SOFTWARE": "1",
        }


def run(
    profile: Profile,
    script: Path,
    folder: Path,
    *,
    cases: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    screen: bool = False,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Run a script's cases in GIMP; returns the driver's report. Everything started here has ended.

    keep: where screenshots are copied to.
    """
    # A dialog begins with what was chosen in the last one.
    shutil.rmtree(profile.settings / "plug-in-settings", ignore_errors=True)
    environment = {
        **profile.environment,
        **apps.told(script, folder, cases),
        **(extra or {}),
    }
    with shown(environment) if screen else _unseen():
        batch = f"exec(compile(open({str(HERE / 'driver.py')!r}).read(), 'driver.py', 'exec'))"
        program = [f"gimp-{series()}", "-n", "-s"] if screen else [f"gimp-console-{series()}", "-n", "-i"]
        command = command_of(*program, "--batch-interpreter", "python-fu-eval", "-b", batch, "--quit")
        with (folder / "gimp.log").open("wb") as log:
            quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            gimp = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
            try:
                status = gimp.wait()
            finally:
                if gimp.poll() is None:
                    os.killpg(gimp.pid, signal.SIGKILL)
                    status = gimp.wait()
    if not known_plugins().exists() and (learned := profile.settings / "pluginrc").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with replacing(known_plugins()) as part:
            shutil.copy2(learned, part)
    if keep is not None:
        for picture in folder.glob("*.png"):
            shutil.copy(picture, keep)
    return apps.reported(folder, "gimp.log", status)


@contextmanager
def _unseen() -> Iterator[None]:
    yield


@contextmanager
def shown(environment: dict[str, str]) -> Iterator[None]:
    """A screen with a window manager (without one no key reaches a dialog), named in `environment`."""
    screen, environment["DISPLAY"] = apps.start_xvfb(apps.in_root(ROOT, []))
    quiet: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    manager = subprocess.Popen(
        command_of("matchbox-window-manager", "-kbdconfig", "/dev/null"), env=environment, **quiet
    )
    try:
        yield
    finally:
        for process in (manager, screen):
            process.terminate()
            process.wait(20)
