"""Check this machine, and install the build of torch that it needs."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from glihamba_proto import interpreter
from installer.console import CommandFailed, Console, InstallError
from installer.layout import WINDOWS, Root

TORCH_SERIES = "2.13"
TORCH = f"torch>={TORCH_SERIES},<2.14"
_SPACE_GB = {"cpu": 2.0, "cuda": 9.0}
_UNREACHABLE = (
    r"NewConnectionError|ConnectTimeout|NameResolution|is unreachable|dns error|ProxyError|\(Connect\)"
)
_WINDOWS_ROOT = 100  # characters; torch's files add up to 150, and Windows allows 260


def has_nvidia() -> bool:
    """Return True if NVIDIA's driver answers."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return False
    try:
        return subprocess.run([tool, "-L"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def describe(device: str) -> str:
    """Return system, processor, Python and device in a few words."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {device.upper()}"


def check(root: Root, device: str) -> str:
    """Raise InstallError for anything that would make the installation fail later.

    device: "cpu" or "cuda". Returns a description of the machine.
    """
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallError(
            "This Python cannot make environments, because its venv module is not installed. On Debian and"
            f" Ubuntu run: sudo apt install python{version}-venv"
        )
    if sys.maxsize < 2**32:
        raise InstallError(
            "This is a 32-bit Python, for which there is no torch: run install.py with a 64-bit one."
        )
    if WINDOWS and "WindowsApps" in sys.base_prefix:
        raise InstallError(
            "This is the Microsoft Store's Python, which hides its files from the editors: run install.py"
            " with the Python from python.org."
        )
    if WINDOWS and len(str(root.path)) > _WINDOWS_ROOT and not _long_paths():
        raise InstallError(
            f"The path {root.path} is too long for Windows: name a shorter folder, for example"
            " --prefix C:\\glihamba."
        )
    root.refuse_foreign()
    parent = next(folder for folder in (root.path, *root.path.parents) if folder.exists())
    _check_writable(parent, root)
    free = shutil.disk_usage(parent).free / 1e9
    if free < _SPACE_GB[device]:
        raise InstallError(
            f"The disk of {root.path} has {free:.1f} GB free and the installation needs about"
            f" {_SPACE_GB[device]:.0f} GB: make room, or name a folder on another disk with --prefix."
        )
    return f"{describe(device)}, {free:.0f} GB free"


def install_torch(
    console: Console,
    python: str,
    device: str,
    pip: list[str],
    extra: dict[str, str],
    *,
    offline: bool = False,
) -> None:
    """Install the build of torch for `device` ("cpu" or "cuda") into the environment of `python`.

    On Linux a plain `pip install torch` brings gigabytes of CUDA libraries. A CPU build is taken from pip's
    own sources if they hold one. Otherwise uv fetches it from PyTorch's index. Raises InstallError and
    CommandFailed.
    """
    wanted, backend = TORCH, None
    if not offline and device == "cuda" and WINDOWS:
        backend = "auto"
    elif not offline and device == "cpu" and sys.platform == "linux":
        build = _cpu_build(console, python, pip, extra)
        wanted, backend = build or TORCH, None if build else "cpu"
    if backend is None:
        console.run(interpreter.module(python, "pip", "install", *pip, wanted), extra=extra)
        return
    console.run(interpreter.module(python, "pip", "install", *pip, "uv"), extra=extra)
    words = ("pip", "install", "--python", python, f"--torch-backend={backend}", TORCH)
    uv = interpreter.module(python, "uv", *words)
    try:
        console.run(uv, extra=extra)
    except CommandFailed as error:
        if not re.search(_UNREACHABLE, error.tail) or "UV_OFFLINE" in extra:
            raise
        raise InstallError(
            "PyTorch's own index, which has the build for this machine, cannot be reached: check the network"
            " (or proxy) and run install.py again, or use --device cuda for the large build, which is in"
            " the ordinary index and runs without a GPU too."
        ) from None


def _cpu_build(console: Console, python: str, pip: list[str], extra: dict[str, str]) -> str | None:
    """Return the requirement for the newest CPU build among pip's own sources, or None.

    PyTorch labels it `+cpu`. `pip install --dry-run` would be more reliable, but it would download the wheel
    of half a gigabyte to read its requirements.
    """
    listed = console.run(interpreter.module(python, "pip", "index", "versions", *pip, "torch"), extra=extra)
    if console.dry:
        return TORCH
    available = "".join(re.findall(r"Available versions: (.*)", listed))
    builds = re.findall(rf"\b{re.escape(TORCH_SERIES)}\.(\d+)\+cpu\b", available)
    return f"torch=={TORCH_SERIES}.{max(map(int, builds))}+cpu" if builds else None


def _check_writable(parent: Path, root: Root) -> None:
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InstallError(
            f"Nothing can be written in {parent} ({error.strerror}): name a folder of your own with --prefix,"
            f" or change the permissions of {root.path}."
        ) from None


def _long_paths() -> bool:
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


def sentence_for(tail: str, root: Root, *, offline: bool) -> str:
    """Return a sentence on why pip failed. tail: pip's last lines."""
    if shutil.disk_usage(root.path).free < 300e6 or "No space left" in tail:
        return (
            f"The disk of {root.path} is full: make room and run install.py again. It continues where it"
            " stopped."
        )
    nothing = "No matching distribution" in tail or "No solution found" in tail
    if offline and nothing:
        return (
            f"A package that is needed is not on this machine. Its name is at the end of {root.log}. Name the"
            " folder that holds every wheel: --wheels FOLDER."
        )
    if nothing or re.search(_UNREACHABLE, tail):
        return (
            "The package index did not provide a package that is needed: check the network (or proxy) and run"
            f" install.py again. It continues where it stopped. The output of pip is in {root.log}."
        )
    return f"pip failed. Its output is in {root.log}. Nothing that was installed before has changed."
