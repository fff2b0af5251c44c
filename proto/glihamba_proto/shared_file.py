"""A file through which planes pass between the daemon and a client of the same user on the same machine.

The daemon makes it and names it; the client opens it by that name in the folder `places.planes_folder()`, so
that neither side opens a path of the other's. Both read and write with pread and pwrite and never map the
file: a process that reads a mapped file which another has truncated is killed (SIGBUS).
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

PIECE = 8 << 20
"""Bytes that one message speaks of: the other side reads them while this one writes the next."""

# Python has no pread, pwrite and O_NOFOLLOW on Windows, where an open file cannot be removed either.
AVAILABLE = all(hasattr(os, name) for name in ("pwrite", "preadv", "O_NOFOLLOW", "O_DIRECTORY"))

# On Windows these are not there, and neither are they needed.
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NAME = re.compile(r"[0-9a-f]{32}")


def is_name(text: str) -> bool:
    """Whether the daemon may have named a file so. No path passes."""
    return _NAME.fullmatch(text) is not None


class SharedFile:
    """An open shared file. `name` is what the other side finds it by."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def grow(self, size: int) -> None:
        """Make the file at least `size` bytes long; raises OSError."""
        if os.fstat(self._descriptor).st_size < size:
            os.ftruncate(self._descriptor, size)

    def write(self, data: memoryview, position: int) -> None:
        """Write all of `data` (bytes) at `position`; raises OSError, for example when the disk is full."""
        while data:
            count = os.pwrite(self._descriptor, data, position)
            data, position = data[count:], position + count

    def read(self, target: memoryview, position: int) -> None:
        """Fill `target` (bytes) from `position`; raises OSError, also when the file ends before."""
        while target:
            count = os.preadv(self._descriptor, [target], position)
            if not count:
                raise OSError("the file has been truncated")
            target, position = target[count:], position + count

    def close(self) -> None:
        os.close(self._descriptor)


def open_folder(folder: Path) -> int:
    """A descriptor of the folder, its owner's alone and no link; it is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, _FOLDER)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} is another user's")
        os.fchmod(descriptor, 0o700)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def create(folder: int) -> SharedFile:
    """A new file in the folder, whose descriptor is given, for its owner alone. Raises OSError."""
    name = secrets.token_hex(16)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return SharedFile(name, os.open(name, flags, 0o600, dir_fd=folder))


def open_named(folder: Path, name: str, size: int) -> SharedFile | None:
    """The daemon's file of that name, at least `size` bytes long.

    Returns None where planes must travel in messages: the name is none of the daemon's, the file is out of
    reach (a sandbox, another machine, another user), or it is not a regular file of this user alone.
    """
    if not AVAILABLE or not is_name(name):
        return None
    try:
        within = os.open(folder, _FOLDER)
        try:
            # A pipe of that name must not make us wait for its other end.
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=within)
        finally:
            os.close(within)
    except OSError:
        return None
    found = os.fstat(descriptor)
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
    if not is_ours or stat.S_IMODE(found.st_mode) & 0o077 or found.st_size < size:
        os.close(descriptor)
        return None
    return SharedFile(name, descriptor)
