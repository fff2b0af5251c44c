"""Finds the daemon on this machine, or starts it outside the editor's process tree.

The daemon's own lock decides who serves: two launchers at once may both start one, the second of
which ends with status ALREADY_RUNNING, and both find the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glihamba_client.client import Client
from glihamba_client.errors import ClientError
from glihamba_client.host import Progress
from glihamba_proto import documents, endpoint, messages, places
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.files import open_private, private_folder, refuse_foreign
from glihamba_proto.messages import Note

ALREADY_RUNNING = 3  # exit status of `glihamba serve` when another daemon has the lock
START_LIMIT = 120.0  # seconds; the first start after an installation reads a gigabyte from disk
RETRY = 5.0  # seconds between two starts while another daemon holds the lock
LOOK = 2.0  # seconds for an answer while a daemon is looked for; one that lives answers in milliseconds
FROZEN = 4.0  # seconds without an answer of a daemon that holds the lock and has said where it answers
WARMING = 60.0  # seconds from its start on in which a daemon may be silent: it reads libraries from disk

FLATPAK_MARK = Path("/.flatpak-info")  # every Flatpak's sandbox has it

# An editor's bundle points these at its own libraries, which are not the daemon's.
_BUNDLE = (
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES"),
)


def installed_command() -> list[str]:
    """How the daemon is started: what install.py noted in the data folder, else `glihamba` on PATH.

    Raises `ClientError` NOT_INSTALLED, COMMAND_REFUSED.
    """
    note = places.command_file()
    with contextlib.suppress(FileNotFoundError):
        if os.name == "posix" and note.stat().st_mode & 0o002:
            raise ClientError("COMMAND_REFUSED", path=note)
        try:
            refuse_foreign(note)
        except PermissionError:
            raise ClientError("COMMAND_REFUSED", path=note) from None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        command = documents.read(note)["command"]
        if command and all(isinstance(word, str) for word in command) and shutil.which(command[0]):
            return list(command)
    found = shutil.which("glihamba")
    if found is None:
        raise ClientError("NOT_INSTALLED")
    return [found, "serve"]


async def running(patience: float = LOOK) -> Endpoint | None:
    """The daemon that answers now, or None when the endpoint file is missing, stale or damaged.

    gRPC's health check would not do: it says neither which daemon answers nor what protocol it speaks.
    patience: seconds to wait for the answer. Raises `ClientError` for a daemon of another protocol: it is
    there, and starting one would not help.
    """
    found = endpoint.read(places.endpoint_file())
    if found is None:
        return None
    try:
        info = await Client(found).info(timeout=patience)
    except ClientError as error:
        if error.code in ("SERVER_TOO_OLD", "CLIENT_TOO_OLD"):
            raise
        return None
    return found if info.instance == found.instance else None


async def connect(
    command: Sequence[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    limit: float = START_LIMIT,
) -> Endpoint:
    """The running daemon; starts one when none answers. `command` replaces the installed one.

    Raises `ClientError`: NOT_INSTALLED, START_FAILED with the log's place, START_SLOW, DAEMON_FROZEN, and
    SANDBOXED where a sandbox explains the first two.
    """
    report(Progress("CONNECTING"))
    asked, silent = time.monotonic(), endpoint.read(places.endpoint_file())
    found = await running()
    if found is not None:
        return found
    report(Progress("STARTING"))
    try:
        return await _started(command, silent, asked, limit)
    except ClientError as error:
        if error.code in ("NOT_INSTALLED", "START_FAILED") and (case := sandbox()):
            app = os.environ.get("FLATPAK_ID") or os.environ.get("SNAP_NAME") or "APP"
            raise ClientError("SANDBOXED", case=case, app=app, folder=places.data_folder()) from error
        raise


async def _started(
    command: Sequence[str] | None, silent: Endpoint | None, asked: float, limit: float
) -> Endpoint:
    """Start the daemon and wait for it. silent: the endpoint at the time `asked`, when none answered."""
    environment = dict(os.environ) if command else without_bundle(os.environ)
    log = places.log_folder() / places.LAUNCH_LOG
    words = [*(command or installed_command()), "--idle-exit"]
    process, begun = launch(words, log, environment), time.monotonic()
    deadline = begun + limit
    while time.monotonic() < deadline:
        ended = process.poll()
        found = await running()
        if found is not None:
            return found
        if ended is not None and ended != ALREADY_RUNNING:
            raise ClientError("START_FAILED", log=log, reason=_reason(log) or f"exit status {ended}")
        if ended is not None and time.monotonic() > asked + FROZEN and _is_frozen(silent):
            raise ClientError("DAEMON_FROZEN", process=silent.pid if silent else 0)
        if ended is not None and time.monotonic() > begun + RETRY:  # the other one was ending, not starting
            process, begun = launch(words, log, environment), time.monotonic()
        await asyncio.sleep(0.1)
    raise ClientError("START_SLOW", seconds=round(limit), log=log)


def sandbox() -> str:
    """The catalogue's case for the sandbox that this program runs in: FLATPAK, SNAP, or nothing."""
    if FLATPAK_MARK.exists():
        return "FLATPAK"
    return "SNAP" if os.environ.get("SNAP") and os.environ.get("SNAP_NAME") else ""


def _is_frozen(silent: Endpoint | None) -> bool:
    """Whether the daemon of this file, which holds the lock, has had time enough to answer."""
    if silent is None or time.time() < silent.started + WARMING:
        return False
    return endpoint.read(places.endpoint_file()) == silent  # one that ends takes its file away first


def launch(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the daemon so that it outlives this process and gets none of its signals.

    What it prints before its own log is open goes to `log`. Raises `ClientError` START_FAILED.
    """
    try:
        is_named = bool(os.environ.get(places.LOG_DIR, "").strip())
        private_folder(log.parent, is_named=is_named)
        output = open(log, "wb", opener=open_private)  # noqa: SIM115 - it is closed below
    except OSError as error:
        reason = Note("CANNOT_SERVE.LOG", {"path": log, "reason": error.strerror})
        raise ClientError("START_FAILED", log=log, reason=reason) from error
    try:
        with output:

            def start(**how: Any) -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environment),
                    cwd=_any_folder(log),
                    **how,
                )

            if sys.platform != "win32":
                return start(start_new_session=True)
            apart = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            try:
                return start(creationflags=apart | subprocess.CREATE_BREAKAWAY_FROM_JOB)
            except PermissionError:  # the editor runs in a job that lets nobody out
                return start(creationflags=apart)
    except OSError as error:
        raise ClientError("START_FAILED", log=log, reason=error) from error


def _any_folder(log: Path) -> Path:
    """A folder for the daemon to be in: not the caller's, which may be on a drive that is taken away."""
    with contextlib.suppress(places.BadPlace):
        if (home := places.home_folder()).is_dir():
            return home
    return log.parent


def without_bundle(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what an editor's bundle sets for its own Python and libraries."""
    return {name: value for name, value in environ.items() if name not in _BUNDLE}


def _reason(log: Path) -> Note | str:
    """Why the daemon has not started: the note that it has left, else the last line, if there is one."""
    try:
        lines = log.read_text("utf-8", "replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return next(filter(None, map(messages.note_of_line, lines)), last)
