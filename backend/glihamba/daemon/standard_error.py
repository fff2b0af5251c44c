"""What libraries print to the daemon's standard error goes into its log.

gRPC prints what a stranger sends in a GOAWAY frame, token or not. A file that grows with it, or a terminal
that obeys its escapes, would be the stranger's. The log rotates, and an event is one escaped line.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from glihamba_proto.messages import printable

_log = logging.getLogger(__name__)

LONGEST = 300  # characters of a line that are kept
A_MINUTE = 20  # lines that are kept
_PIECE = 1 << 16


@contextmanager
def logged() -> Iterator[None]:
    """While it lasts, lines on file descriptor 2 become events of the log, at most A_MINUTE in a minute."""
    kept, (reading, writing) = os.dup(2), os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    thread = threading.Thread(target=_read, args=(reading,), name="glihamba-stderr", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)  # closes the pipe's last end, unless a child process holds it
        os.close(kept)
        thread.join(1.0)


def _read(reading: int) -> None:
    """Log the lines that come through the pipe until its other end is closed."""
    allowed = _Allowance()
    rest = b""
    while piece := os.read(reading, _PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[: 4 * LONGEST]
        for line in lines:
            if line.strip() and allowed.one():
                _log.warning("a library said", extra={"text": escaped(line)})
    os.close(reading)


def escaped(line: bytes) -> str:
    """The line's beginning, with everything that is not printed as itself as an escape."""
    text = line.decode("utf-8", "backslashreplace").strip()
    return printable(text[:LONGEST]) + "…" * (len(text) > LONGEST)


class _Allowance:
    """Lets A_MINUTE lines through in a minute, and says afterwards how many it did not."""

    def __init__(self) -> None:
        self._begun, self._let, self._left_out = time.monotonic(), 0, 0

    def one(self) -> bool:
        if time.monotonic() > self._begun + 60:
            if self._left_out:
                _log.warning("libraries said more", extra={"lines": self._left_out})
            self._begun, self._let, self._left_out = time.monotonic(), 0, 0
        self._let += 1
        self._left_out += self._let > A_MINUTE
        return self._let <= A_MINUTE
