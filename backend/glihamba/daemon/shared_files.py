"""The daemon's shared files: made when a job asks for one, used again by later jobs, gone with the daemon."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glihamba_proto import shared_file
from glihamba_proto.shared_file import SharedFile

_log = logging.getLogger(__name__)

KEPT = 2  # files without a job: one job's planes are received while another is computed


class Loan:
    """A file while a job has it. `is_returned`: its client has said that it is done with the file."""

    def __init__(self, file: SharedFile) -> None:
        self.file = file
        self.is_returned = False


class SharedFiles:
    """The files of one daemon. Thread-safe. Where none can be made, jobs do without."""

    def __init__(self, folder: Path | None) -> None:
        """Clear what a dead daemon left in `folder`; None: there shall be no files.

        The caller holds the lock of the one daemon.
        """
        self._lock = threading.Lock()
        self._idle: list[SharedFile] = []
        self._folder: int | None = None
        if folder is None or not shared_file.AVAILABLE:
            return
        try:
            self._folder = shared_file.open_folder(folder)
            self._remove_all(self._folder)
        except OSError as error:
            _log.warning("planes travel in messages only", extra={"folder": folder, "reason": str(error)})

    @property
    def is_available(self) -> bool:
        return self._folder is not None

    @contextmanager
    def lent(self, size: int) -> Iterator[Loan | None]:
        """A file of at least `size` bytes for the time of one job; None if there is none.

        A file whose client has not returned it is removed: that client may still write to it.
        """
        file = self._take(size)
        if file is None:
            yield None
            return
        loan = Loan(file)
        try:
            yield loan
        finally:
            self._give_back(loan)

    def clear(self) -> None:
        """Remove the files that no job has: they hold as much of the disk as the largest picture took."""
        with self._lock:
            while self._idle:
                self._remove(self._idle.pop())

    def close(self) -> None:
        """Remove every file; nothing is lent any more."""
        self.clear()
        with self._lock:
            folder, self._folder = self._folder, None
            if folder is not None:
                self._remove_all(folder)
                os.close(folder)

    def _take(self, size: int) -> SharedFile | None:
        with self._lock:
            if self._folder is None:
                return None
            try:
                file = self._idle.pop() if self._idle else shared_file.create(self._folder)
            except OSError as error:
                _log.warning("no shared file could be made", extra={"reason": str(error)})
                return None
            try:
                file.grow(size)
            except OSError as error:
                _log.warning("a shared file could not grow", extra={"reason": str(error), "bytes": size})
                self._remove(file)
                return None
            return file

    def _give_back(self, loan: Loan) -> None:
        with self._lock:
            if loan.is_returned and self._folder is not None and len(self._idle) < KEPT:
                self._idle.append(loan.file)
            else:
                self._remove(loan.file)

    def _remove(self, file: SharedFile) -> None:
        file.close()
        if self._folder is not None:
            _unlink(file.name, self._folder)

    def _remove_all(self, folder: int) -> None:
        for name in os.listdir(folder):
            if shared_file.is_name(name):
                _unlink(name, folder)


def _unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:  # gone already, or a folder of that name, which is none of ours
        _log.debug("a shared file stays", extra={"name": name, "reason": str(error)})
