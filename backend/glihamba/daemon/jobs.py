"""One worker, one bounded queue: clients take turns, every job can be cancelled, memory is let go at once.

A job goes through: `reserve` (a place, before any pixel arrives), `claim` (memory), `submit` (its
turn comes), and `release` (always, when its stream ends, however it ends).
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from glihamba.engine.request import Request
from glihamba.engine.runner import Outcome
from glihamba.errors import Cancelled, HarmonizeError, OutOfMemory, QueueFull, ShuttingDown, is_out_of_memory

_log = logging.getLogger(__name__)

LAST_STEPS = 10.0  # seconds for the worker to notice that its job is over


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

    def __init__(self, abandon: Callable[[], object]) -> None:
        """`abandon` ends the stream from outside, for a client that has fallen silent."""
        self.id = secrets.token_hex(4)
        self.client = ""
        self.abandon = abandon
        self.bytes = 0
        self.touched = time.monotonic()
        self.awaits_client = True  # to send pixels, or to say that it has read the result
        self.submitted = self.began = self.ended = 0.0
        self.request: Request | None = None
        self._changed = threading.Condition()
        self._update = Update("RECEIVING", 0.0, 0)
        self._unseen: deque[Update] = deque()
        self._outcome: Outcome | None = None
        self._error: HarmonizeError | None = None
        self._settled = False
        self._stopped = False
        self.released = False

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

    def keep_on(self) -> None:
        """Called as pixels arrive: notes the sign of life; raises the error if the job has ended already."""
        self.touched = time.monotonic()
        with self._changed:
            if self._error is not None:
                raise self._error

    def await_client(self) -> None:
        """From now on the client must show a sign of life: the job holds something that it must return."""
        self.touched, self.awaits_client = time.monotonic(), True

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


class Jobs:
    """The queue and its worker thread."""

    def __init__(
        self,
        run: Callable[[Request, Callable[[str, float], None], Callable[[], bool]], Outcome],
        *,
        length: int,
        megabytes: int,
        silence_seconds: float = 120.0,
    ) -> None:
        """`run(request, progress, cancelled)` does a job's work on the worker thread.

        `length` jobs may wait beside the running one, all of them holding at most `megabytes`.
        """
        self._run = run
        self._length = length
        self._bytes = megabytes << 20
        self._silence = silence_seconds
        self._lock = threading.Condition()
        self._open: set[Job] = set()
        self._turns: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: Job | None = None
        self._closed = False
        self._idle_since = time.monotonic()
        self._worker = threading.Thread(target=self._work, name="glihamba-worker", daemon=True)
        self._worker.start()

    # -- a job's life, called by its stream's thread

    def reserve(self, abandon: Callable[[], object]) -> Job:
        """A place for a job whose pixels are still to come. Raises QueueFull, ShuttingDown."""
        with self._lock:
            if self._closed:
                raise ShuttingDown()
            if len(self._open) > self._length:
                raise QueueFull(jobs=self._length)
            job: Job = Job(abandon)
            self._open.add(job)
            return job

    def claim(self, job: Job, size: int) -> None:
        """Account for `size` bytes of pixels. Raises QueueFull when they don't fit beside the other jobs'."""
        with self._lock:
            taken = sum(other.bytes for other in self._open)
            if taken and taken + size > self._bytes:
                raise QueueFull(case="MEMORY", megabytes=taken >> 20)
            job.bytes = size

    def submit(self, job: Job, client: str, request: Request) -> int:
        """Queue the job in `client`'s line; returns how many jobs run before it starts (0: next)."""
        with self._lock:
            if self._closed:
                raise ShuttingDown()
            job.client, job.request, job.submitted = client, request, time.monotonic()
            job.awaits_client = False
            self._turns.setdefault(client, deque()).append(job)
            self._lock.notify_all()
            position = self._order().index(job)
            self._tell_positions()
            return position

    def release(self, job: Job) -> None:
        """The stream has ended: cancel what is left of the job and let its pictures go."""
        job.stop()
        with self._lock:
            job.request, job.released = None, True
            line = self._turns.get(job.client)
            if line and job in line:
                line.remove(job)
                if not line:
                    del self._turns[job.client]
                self._tell_positions()
            if job is not self._running:
                self._forget(job)
            # else its pictures are in the worker's hands until it notices

    # -- the whole, called by the server

    @property
    def waiting(self) -> int:
        """Jobs that have a place and don't run yet."""
        with self._lock:
            return sum(not job.began for job in self._open)

    @property
    def running(self) -> bool:
        with self._lock:
            return self._running is not None

    def idle_seconds(self) -> float:
        """Since the last job ended; 0 while there is one."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._idle_since

    def end_silent(self) -> None:
        """End the streams whose clients fell silent when it was their turn: they hold a place."""
        now = time.monotonic()
        with self._lock:
            silent = [job for job in self._open if job.awaits_client and now - job.touched > self._silence]
        for job in silent:
            _log.warning("a client fell silent in the middle of a job", extra={"job": job.id})
            job.abandon()

    def close(self) -> None:
        """Tell every job SHUTTING_DOWN, take no more, and wait for the worker to end."""
        with self._lock:
            self._closed = True
            for job in self._open:
                job.settle(error=ShuttingDown())
            self._turns.clear()
            self._lock.notify_all()
        self._worker.join(LAST_STEPS)

    # -- the worker

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._work_on(job)
            with self._lock:
                self._running = None
                if job.released:
                    self._forget(job)
            del job  # while waiting for the next one

    def _next(self) -> Job | None:
        with self._lock:
            self._lock.wait_for(lambda: self._closed or self._turns)
            if self._closed:
                return None
            client, line = self._turns.popitem(last=False)
            job = line.popleft()
            if line:  # the others go first now
                self._turns[client] = line
            self._running, job.began = job, time.monotonic()
            self._tell_positions()
            return job

    def _work_on(self, job: Job) -> None:
        request, job.request = job.request, None
        if request is None or job.stopped():
            return
        try:
            outcome = self._run(request, job.report, job.stopped)
            job.ended = time.monotonic()
            job.settle(outcome)
        except HarmonizeError as error:
            job.settle(error=error)
        except Exception as error:
            if is_out_of_memory(error):
                job.settle(error=OutOfMemory())
                return
            _log.exception("a job failed", extra={"job": job.id})
            job.settle(error=HarmonizeError())

    def _forget(self, job: Job) -> None:
        self._open.discard(job)
        self._idle_since = time.monotonic()

    def _order(self) -> list[Job]:
        """Waiting jobs in the order they will run: one of each client in turn."""
        lines = [list(line) for line in self._turns.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._order()):
            job.report("QUEUED", 0.0, position)
