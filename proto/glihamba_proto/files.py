"""Files that are written whole or not at all, and what is private to a person."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import re
import secrets
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# .NAME.MACHINE_PROCESS_RANDOM.part
_PART = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})_(?P<process>\d+)_[0-9a-f]{8}\.part")
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
NO_FILE = "it is a pipe or a device, not a file"
_LONGEST = 200  # bytes of the name, so that no system finds the part's too long
_FORGOTTEN = 86_400.0  # seconds after which nobody writes a part any more
_cleared: set[Path] = set()


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; it becomes `path` when the block ends without an error.

    private: only its owner may read the file. Raises OSError and leaves `path` as it was. What killed
    processes have left in the folder is removed, once in the life of this process.
    """
    if path.parent not in _cleared:
        _cleared.add(path.parent)
        clear_parts(path.parent)
    part = path.with_name(f"{_beginning(path)}{_MACHINE}_{os.getpid()}_{secrets.token_hex(4)}.part")
    try:
        if private:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def private_folder(path: Path, *, is_named: bool = False) -> None:
    """Make the folder if need be, and see that it is this person's and nobody else's.

    is_named: the person has named it, so it keeps its mode if nobody else can write to it. Raises OSError.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name != "posix":  # the data folder lies in the person's profile, whose permissions apply
        return
    found = path.stat()
    refuse_foreign(path)
    if not is_named:
        path.chmod(0o700)
    elif found.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "others can write to it", str(path))


def refuse_foreign(path: Path) -> None:
    """Raise PermissionError if the file, the folder, or a link in its place belongs to another person."""
    if os.name == "posix" and {path.stat().st_uid, path.lstat().st_uid} - {os.geteuid(), 0}:
        raise PermissionError(errno.EPERM, "it belongs to another person", str(path))


def open_regular(path: Path) -> BinaryIO:
    """The file, open to be read. Raises OSError, also for a pipe or a device, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        code, reason = (errno.EISDIR, os.strerror(errno.EISDIR)) if is_folder else (errno.EINVAL, NO_FILE)
        raise OSError(code, reason, str(path))
    return os.fdopen(descriptor, "rb")


def open_private(name: str, flags: int) -> int:
    """For `open(..., opener=open_private)`: the file is its owner's alone and no link. Raises OSError."""
    descriptor = os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        if os.name == "posix":
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
                raise PermissionError(errno.EPERM, "it is no file of yours", name)
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def clear_parts(folder: Path) -> None:
    """Remove what killed processes of this machine left in the folder, and what is a day old."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PART.fullmatch(entry.name)
            if found is None:
                continue
            with contextlib.suppress(OSError):
                is_ours = found["machine"] == _MACHINE
                if (is_ours and not _lives(int(found["process"]))) or _is_forgotten(entry):
                    os.unlink(entry.path)


def forget_parts(path: Path) -> None:
    """Remove what killed processes left when they were writing `path`; nobody else may be writing it now."""
    for part in path.parent.glob(f"{glob.escape(_beginning(path))}*.part"):
        part.unlink(missing_ok=True)


def _beginning(path: Path) -> str:
    """The beginning of a part's name."""
    name = path.name
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return f".{name}."


def _is_forgotten(entry: os.DirEntry[str]) -> bool:
    return entry.stat(follow_symlinks=False).st_mtime < time.time() - _FORGOTTEN


def _lives(process: int) -> bool:
    if os.name != "posix":  # Windows has no signal 0: os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # another person's
    return True
