"""The installation's folders and files, its state, and what of it may be deleted.

Everything is inside one root, which is the person's data folder or `--prefix`:

    install-state.json   what is installed, plugins in editors included, and what is half built
    env-N/               a virtual environment. A new one gets the next number and is built beside the
                         old one, which works until the new one has passed its test. The state file
                         names the one in use, since environments hold absolute paths and cannot be
                         renamed
    bin/glihamba         starts the command of the current environment
    daemon.json          the command with which a plugin starts the daemon
    demo/                the picture before and after
    logs/install.log     the output of pip and all other commands
    models/ run/ logs/   files of the daemon: weights, endpoint, logs
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glihamba_proto import documents, places
from glihamba_proto.files import replacing
from installer.console import InstallError

WINDOWS = sys.platform == "win32"
CHECKOUT = Path(__file__).resolve().parent.parent

# Each with what a killed process may leave of a file: `.NAME.RANDOM.part`, or `NAME.part` in older versions.
_PROGRAM = re.compile(
    r"env-\d+|bin|demo|install\.lock"
    r"|(daemon|install-state)\.json(\.part)?|\.(daemon|install-state)\.json\.\w+\.part"
)
_DATA = re.compile(r"models|run|logs|cache|settings\.json|\.settings\.json\.\w+\.part")

# In a folder's name the first lines of an environment's commands, or the list of its folders, break on these.
UNUSABLE = frozenset('"$`\n' if WINDOWS else '"$`\n:\\')


def default_root() -> Path:
    """Return the data folder. Raises InstallError if GLIHAMBA_DATA_DIR is not absolute."""
    try:
        return places.data_folder()
    except places.BadPlace as error:
        raise InstallError(str(error)) from None


@dataclass
class State:
    """The content of `install-state.json`.

    `current` describes the environment in use, and `building` one that is not ready yet.
    """

    current: dict[str, Any] | None = None
    building: dict[str, Any] | None = None


class Root:
    """The folder that everything is installed in."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.state_file = self.path / "install-state.json"
        self.lock_file = self.path / "install.lock"
        self.log = self.path / places.LOGS / "install.log"
        self.demo = self.path / "demo"
        self.launcher = self.path / "bin" / ("glihamba.cmd" if WINDOWS else "glihamba")
        self.daemon_file = self.path / places.COMMAND

    @property
    def is_default(self) -> bool:
        return self.path == default_root().absolute()

    def python(self, env: str) -> Path:
        return self.path / env / ("Scripts/python.exe" if WINDOWS else "bin/python")

    def command(self, env: str) -> Path:
        return self.path / env / ("Scripts/glihamba.exe" if WINDOWS else "bin/glihamba")

    def is_whole(self, env: str) -> bool:
        """Return True if the environment's command can be started.

        Its Python is a link to the Python that made it, which may be gone.
        """
        return self.command(env).exists() and self.python(env).exists()

    def load(self) -> State:
        """Return the state. An unreadable file counts as none, since all steps can be done again."""
        try:
            table = documents.read(self.state_file)
            state = State(table.get("current"), table.get("building"))
            for entry in (state.current, state.building):
                if entry is not None and not re.fullmatch(r"env-\d+", entry["env"]):
                    return State()
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return State()
        return state

    def save(self, state: State) -> None:
        write_whole(self.state_file, json.dumps(asdict(state), indent=2) + "\n")

    def next_env(self) -> str:
        numbers = [int(p.name[4:]) for p in self.path.glob("env-*") if p.name[4:].isdigit()]
        return f"env-{max(numbers, default=0) + 1}"

    def refuse_foreign(self) -> None:
        """Raise InstallError unless the folder is absent, empty or ours, and an environment works in it."""
        if bad := [c for c in str(self.path) if c in UNUSABLE or not c.isprintable()]:
            shown = " ".join(repr(c) if not c.isprintable() else c for c in dict.fromkeys(bad))
            raise InstallError(
                f"The folder's name contains {shown}, with which Python's environments do not work:"
                " name another folder with --prefix."
            )
        if self.path.exists() and not self.path.is_dir():
            raise InstallError(f"{self.path} is a file; name a folder with --prefix.")
        foreign = self.foreign()
        ours = self.state_file.exists() or (self.is_default and not foreign)
        if self.path.is_dir() and any(self.path.iterdir()) and not ours:
            name = (foreign or sorted(p.name for p in self.path.iterdir()))[0]
            raise InstallError(
                f"{self.path} holds files that GLIHamba did not put there ({name}); name an empty or a new"
                " folder with --prefix."
            )

    def foreign(self) -> list[str]:
        """Return the names in the root that are not ours."""
        if not self.path.is_dir():
            return []
        names = sorted(p.name for p in self.path.iterdir())
        return [n for n in names if not _PROGRAM.fullmatch(n) and not _DATA.fullmatch(n)]

    def remove(self, *, purge: bool) -> None:
        """Delete the program and, with `purge`, the data. Call `vanish` after the lock is released."""
        self.save(State())  # a root that keeps its data is still known to be ours
        for path in list(self.path.iterdir()):
            ours = _PROGRAM.fullmatch(path.name) and path not in (self.state_file, self.lock_file)
            if ours or (purge and _DATA.fullmatch(path.name)):
                delete(path)
        self.log.unlink(missing_ok=True)
        for folder in (self.log.parent, self.path / places.RUNTIME):
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()

    def vanish(self) -> list[str]:
        """Delete the root if it is empty. Returns the names that are left in it."""
        self.lock_file.unlink(missing_ok=True)
        left = sorted(p.name for p in self.path.iterdir() if p != self.state_file)
        if not left:
            self.state_file.unlink(missing_ok=True)
            self.path.rmdir()
        return left

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the root. Raises InstallError if another installer holds it."""
        with self.lock_file.open("a+b") as file:
            try:
                if sys.platform == "win32":
                    import msvcrt

                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InstallError(
                    f"Another install.py is at work in {self.path}: wait until it has finished."
                ) from None
            yield


def write_whole(path: Path, text: str, *, executable: bool = False) -> None:
    """Replace a file in one step, so that a reader sees either the old text or the new text.

    A link stays a link, and the mode is kept. Bytes that were read with `surrogateescape` are written back.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=path.exists()) as part:  # a private file stays private meanwhile
        part.write_text(text, "utf-8", "surrogateescape")
        if path.exists():
            shutil.copymode(path, part)
        if executable:
            part.chmod(part.stat().st_mode | stat.S_IXUSR)


def delete(path: Path) -> None:
    """Delete a file, a link (not its target) or a folder, which may hold read-only files."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return

    def writable_again(function: Callable[[str], object], name: str, _: object) -> None:
        os.chmod(name, stat.S_IWRITE)
        function(name)

    if path.is_dir():
        shutil.rmtree(path, onerror=writable_again)  # onexc needs Python 3.12
