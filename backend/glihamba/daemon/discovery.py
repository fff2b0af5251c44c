"""How a client finds the one daemon: a lock nobody else can take, and the endpoint file.

`glihamba_proto.endpoint` documents the file. The lock tells a living daemon from a dead one, since the system
frees it when a process dies; the file alone may be stale.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
from pathlib import Path

from filelock import FileLock, Timeout

from glihamba.errors import HarmonizeError
from glihamba.settings import Settings
from glihamba_proto import endpoint as record
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.files import open_private, private_folder

_log = logging.getLogger(__name__)


class CannotServe(HarmonizeError):
    """The daemon can't start as asked; `exit_code` is what the process should end with."""

    code = "CANNOT_SERVE"
    exit_code = 2


class AlreadyRunning(CannotServe):
    """Another daemon of this person runs, or is just starting or ending."""

    exit_code = 3


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Write the endpoint file; raises CannotServe."""
    try:
        record.write(path, endpoint)
    except OSError as error:
        raise CannotServe(case="ENDPOINT", path=path, reason=error.strerror) from None


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address (IPv6 with or without brackets), is this machine for itself."""
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def take_lock(settings: Settings) -> FileLock:
    """The single-instance lock, held. Raises AlreadyRunning naming the one that holds it, CannotServe."""
    folder = settings.runtime_dir
    try:
        private_folder(folder, is_named=folder.parent != settings.data_dir)
        lock = FileLock(settings.lock_file, thread_local=False)
        lock.acquire(timeout=0)
        with open(settings.process_file, "w", opener=open_private) as file:
            file.write(str(os.getpid()))
    except Timeout:
        other = record.read(settings.endpoint_file)
        if other is None:
            raise AlreadyRunning(case="CHANGING") from None
        raise AlreadyRunning(case="RUNNING", process=other.pid, port=other.port) from None
    except OSError as error:
        if error.filename and isinstance(error, PermissionError) and Path(error.filename) != folder:
            raise CannotServe(case="RUN_FILE", path=error.filename) from None
        if error.errno == errno.ENOSPC:
            raise CannotServe(case="ENDPOINT", path=settings.process_file, reason=error.strerror) from None
        raise CannotServe(case="RUN_FOLDER", path=folder, reason=error.strerror) from None
    return lock


def renew_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Write the endpoint file again if it has been deleted or damaged; a successor's stays."""
    if record.read(path) is None:
        with contextlib.suppress(OSError):
            record.write(path, endpoint)
            _log.warning("the endpoint file was gone, and is written again", extra={"path": path})
