"""How a client finds the one daemon: a lock nobody else can take, and the endpoint file.

`glihamba_proto.endpoint` documents the file. The lock tells a living daemon from a dead one, since the system
frees it when a process dies; the file alone may be stale.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from filelock import FileLock, Timeout

from glihamba.errors import HarmonizeError
from glihamba_proto import endpoint as record
from glihamba_proto.endpoint import Endpoint


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


def private_folder(path: Path) -> None:
    """Make `path` (and its parents) if need be, its owner's alone; a folder that is there stays as it is."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)


def take_lock(lock_file: Path, endpoint_file: Path) -> FileLock:
    """The single-instance lock, held. Raises AlreadyRunning naming the one that holds it, CannotServe."""
    try:
        private_folder(lock_file.parent)
        lock = FileLock(lock_file, thread_local=False)
        lock.acquire(timeout=0)
    except Timeout:
        other = record.read(endpoint_file)
        if other is None:
            raise AlreadyRunning(case="CHANGING") from None
        raise AlreadyRunning(case="RUNNING", process=other.pid, port=other.port) from None
    except OSError as error:
        raise CannotServe(case="RUN_FOLDER", path=lock_file.parent, reason=error.strerror) from None
    return lock
