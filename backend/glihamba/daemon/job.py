"""One job of the daemon: what it waits for, how far it is, and what comes of it."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from glihamba.engine.request import Request
from glihamba.engine.runner import Outcome
from glihamba.errors import Cancelled, HarmonizeError

# Bytes of pixels that count as a sign of life: whoever sends them one by one would hold a place for hours.
LEAST = 1 << 16


class Update(NamedTuple):
    """How far a job is.

    `stage` is a name of the contract's `Progress.Stage`. `fraction` is of the whole job, from 0 to 1, and
    never falls. `position` in the queue is 0 for the next job and for the running one.
    """

    stage: str
    fraction: float
    position: int


class Job:
    """One harmonization, from its stream's opening to its end. Thread-safe."""

    def __init__(self, abandon: Callable[[], object], patience: float) -> None:
        """`abandon` ends the stream from outside, for a client that stays silent for `patience` seconds."""
        self.id = secrets.token_hex(4)
        self.client = ""
        self.abandon = abandon
        self.has_place = False  # in the queue; its pixels may come
        self.bytes = 0  # of pixels that have come, with their share of the result
        self.submitted = self.began = self.ended = 0.0
        self.request: Request | None = None
        self.released = False
        self._awaited: tuple[float, float] | None = (time.monotonic(), patience)
        self._came = 0  # bytes since then
        self._changed = threading.Condition()
        self._update = Update("RECEIVING", 0.0, 0)
        self._unseen: deque[Update] = deque()
        self._outcome: Outcome | None = None
        self._error: HarmonizeError | None = None
        self._settled = False
        self._stopped = False

    # -- its client, who must show signs of life while the job waits for one

    def await_client(self, patience: float) -> None:
        """From now on the client must send pixels, or take its result, every `patience` seconds."""
        self._awaited, self._came = (time.monotonic(), patience), 0

    def await_no_client(self) -> None:
        """From now on the client waits for us."""
        self._awaited = None

    def keep_on(self, came: int = LEAST) -> None:
        """Note a sign of life of so many bytes; raises the error if the job has ended already."""
        self._came += came
        if self._awaited is not None and self._came >= LEAST:
            self.await_client(self._awaited[1])
        with self._changed:
            if self._error is not None:
                raise self._error

    def is_silent(self, now: float) -> bool:
        """Whether the client has been waited for too long. now: as `time.monotonic()`."""
        return self._awaited is not None and now > sum(self._awaited)

    # -- its progress and its end

    def report(self, stage: str, fraction: float, position: int = 0) -> None:
        """Tell whoever follows the job; a fraction below an earlier one leaves the earlier one standing."""
        with self._changed:
            update = Update(stage, min(1.0, max(self._update.fraction, fraction)), position)
            if update != self._update:
                if self._unseen and self._unseen[-1].stage == stage:
                    self._unseen.pop()  # a slow reader gets the latest of each stage
                self._update = update
                self._unseen.append(update)
                self._changed.notify_all()

    def settle(self, outcome: Outcome | None = None, error: HarmonizeError | None = None) -> bool:
        """End the job; the first call counts. True if this was it."""
        if error is not None:  # a traceback would keep the frames, and the pictures in them, alive
            error.__traceback__ = error.__context__ = error.__cause__ = None
        with self._changed:
            first = not self._settled
            if first:
                self._outcome, self._error, self._settled = outcome, error, True
                self._stopped = self._stopped or error is not None
                self._changed.notify_all()
            return first

    def stop(self) -> None:
        """The stream is gone: nobody wants the outcome any more."""
        self._stopped = True
        self.settle(error=Cancelled())
        with self._changed:
            self._outcome = None

    def stopped(self) -> bool:
        return self._stopped

    def updates(self) -> Iterator[Update]:
        """Progress as it happens until the job is settled; every stage, and the latest of each."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unseen or self._settled)
                if not self._unseen:
                    return
                update = self._unseen.popleft()
            yield update

    def take_outcome(self) -> Outcome:
        """What the worker returned, once; raises the error the job ended with."""
        with self._changed:
            self._changed.wait_for(lambda: self._settled)
            if self._error is not None:
                raise self._error
            outcome, self._outcome = self._outcome, None
            assert outcome is not None
            return outcome
