"""Whether the daemon is still the installed one. After an update it ends; the next call starts the new."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import glihamba_proto
from glihamba_proto import __version__, documents, places

_VERSION = re.compile(r"""^__version__ = ["'](.+?)["']""", re.MULTILINE)


class Installation:
    """What was installed when the daemon started."""

    def __init__(self) -> None:
        self._owner = Path(str(glihamba_proto.__file__))
        self._read: dict[Path, object] = {}
        self._was_named = _names_us()
        self.is_replaced()  # remembers how the files are now

    def is_replaced(self) -> bool:
        """Whether install.py has noted another environment, or this one holds another version."""
        note = _noted()
        if note is not None and self._has_changed(note) and self._was_named and not _names_us():
            return True
        if not self._has_changed(self._owner):
            return False
        with contextlib.suppress(OSError, ValueError):
            found = _VERSION.search(self._owner.read_text("utf-8"))
            return found is not None and found[1] != __version__
        return False

    def _has_changed(self, path: Path) -> bool:
        """Whether the file is to be looked at: it is not as it was when it was found to be no reason."""
        try:
            now: object = path.stat().st_mtime_ns
        except OSError:
            now = None
        return self._read.setdefault(path, now) != now


def _noted() -> Path | None:
    try:
        return places.command_file()
    except places.BadPlace:
        return None


def _names_us() -> bool:
    """Whether what install.py has noted starts a daemon of this environment."""
    note = _noted()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        if note is not None:
            command = documents.read(note)["command"]
            return Path(command[0]).parent == Path(sys.executable).parent
    return False
