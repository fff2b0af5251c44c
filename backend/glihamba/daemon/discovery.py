"""How a client finds the one daemon: a lock nobody else can take, and a file that names port and token.

The file's form and place are documented in `glihamba_client/paths.py`. The lock is what tells a living
daemon from a dead one (the system frees it when a process dies); the file alone may be stale.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout

from glihamba.errors import HarmonizeError


class CannotServe(HarmonizeError):
    """The daemon can't start as asked; `exit_code` is what the process should end with."""

    code = "BAD_REQUEST"
    exit_code = 2


class AlreadyRunning(CannotServe):
    """Another daemon of this person runs, or is just starting or ending."""

    exit_code = 3


@dataclass(frozen=True)
class Endpoint:
    """What endpoint.json says. `host` is a loopback address; `started` is in seconds since 1970."""

    host: str
    port: int
    token: str
    pid: int
    instance: str
    version: str
    protocol: int
    started: float

    def __repr__(self) -> str:  # the token must not reach a log or a traceback
        return f"Endpoint({self.host}:{self.port}, pid {self.pid}, instance {self.instance})"


def read_endpoint(path: Path) -> Endpoint | None:
    """The endpoint at `path`; None if there is none or it is not one (members we don't know are ignored)."""
    try:
        table = json.loads(path.read_text("utf-8"))
        return Endpoint(**{entry.name: table[entry.name] for entry in fields(Endpoint)})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_endpoint(path: Path, endpoint: Endpoint) -> None:
    """Replace `path` in one step by a file only its owner can read (mkstemp's mode). Raises CannotServe."""
    scratch = ""
    try:
        handle, scratch = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(endpoint), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        raise CannotServe(
            f"The file {path} can't be written ({error.strerror}): free some disk space, "
            "or name another folder in GLIHAMBA_RUNTIME_DIR."
        ) from None


def remove_endpoint(path: Path, instance: str) -> None:
    """Remove the file if it is still `instance`'s: a successor's must stay."""
    found = read_endpoint(path)
    if found and found.instance == instance:
        path.unlink(missing_ok=True)


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
        raise AlreadyRunning(_who_runs(read_endpoint(endpoint_file))) from None
    except OSError as error:
        raise CannotServe(
            f"The folder {lock_file.parent} can't be used ({error.strerror}): make it writable, "
            "or name another in GLIHAMBA_RUNTIME_DIR."
        ) from None
    return lock


def _who_runs(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "Another GLIHamba daemon is just starting or ending: try again in a few seconds."
    return (
        f"A GLIHamba daemon already runs (process {endpoint.pid}, port {endpoint.port}): "
        "use that one, or end it first."
    )
