"""One worker, one bounded queue: clients take turns, every job can be cancelled, memory is let go at once.

A job goes through: `reserve` (a seat, before anything arrives), `admitted` (a place in the queue, before any
pixel arrives), `make_room` (memory, as pixels arrive), `submit` (its turn comes), and `release` (always, when
its stream ends, however it ends). Whoever has a seat and no place keeps its pixels itself and waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from glihamba.daemon.job import Job
from glihamba.engine.request import Request
from glihamba.engine.runner import Outcome
from glihamba.errors import HarmonizeError, OutOfMemory, QueueFull, ShuttingDown, is_out_of_memory

_log = logging.getLogger(__name__)

LAST_STEPS = 10.0  # seconds for the worker to notice that its job is over
OUTSIDE = 64  # seats beside the places: each holds a thread and no pixels


@dataclass(frozen=True)
class Patience:
    """Seconds in which a client must show a sign of life when it is its turn.

    `start`: for its first message. `pixels`: for each `job.LEAST` bytes of pixels. `reading`: for each
    message of the result.
    """

    start: float = 10.0
    pixels: float = 30.0
    reading: float = 30.0


class Jobs:
    """The queue and its worker thread."""

    def __init__(
        self,
        run: Callable[[Request, Callable[[str, float], None], Callable[[], bool]], Outcome],
        *,
        length: int,
        megabytes: int,
        patience: Patience = Patience(),
        idle_seconds: float = 0.0,
    ) -> None:
        """`run(request, progress, cancelled)` does a job's work on the worker thread.

        `length` jobs have a place beside the running one, and their pictures hold at most `megabytes`. One
        job alone may hold more. `idle_seconds`: for so long there has been no job before.
        """
        self._run = run
        self._places, self.seats = length + 1, length + 1 + OUTSIDE
        self._bytes = megabytes << 20
        self.patience = patience
        self._lock = threading.Condition()
        self._open: dict[Job, None] = {}  # in the order of their arrival
        self._receiving: dict[Job, None] = {}  # in the order in which they got their places
        self._turns: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: Job | None = None
        self._closed = False
        self._idle_since = time.monotonic() - idle_seconds
        self._worker = threading.Thread(target=self._work, name="glihamba-worker", daemon=True)
        self._worker.start()

    # -- a job's life, called by its stream's thread

    def reserve(self, abandon: Callable[[], object]) -> Job:
        """A seat for a job of which nothing has arrived. Raises QueueFull, ShuttingDown."""
        with self._lock:
            if self._closed:
                raise ShuttingDown()
            if len(self._open) >= self.seats:
                raise QueueFull(jobs=len(self._open))
            job = Job(abandon, self.patience.start)
            self._open[job] = None
            return job

    def admitted(self, job: Job, client: str) -> Iterator[int]:
        """Wait for a place in `client`'s turn; yields how many jobs are before it whenever that changes.

        A client has at most half of the places, and the one with the fewest gets the next. Raises QueueFull
        if half of the seats are the client's, and the error that the job ends with meanwhile.
        """
        with self._lock:
            mine = sum(other.client == client for other in self._open)
            if mine >= max(1, self.seats // 2):
                raise QueueFull(jobs=mine)
            job.client = client
            job.await_no_client()
            self._give_places()
        before = -1
        while (now_before := self._moved(job, before)) is not None:
            before = now_before
            yield before
        job.await_client(self.patience.pixels)
        job.keep_on()

    def _moved(self, job: Job, before: int) -> int | None:
        """Wait until not `before` jobs are before this one but others, or none keeps it from its place."""
        with self._lock:
            self._lock.wait_for(lambda: job.has_place or job.stopped() or self._outside_of(job) != before)
            return None if job.has_place or job.stopped() else self._outside_of(job)

    def make_room(self, job: Job, size: int) -> None:
        """Wait until the `size` bytes that the job holds by now fit beside the other jobs'.

        Jobs that have all of their pixels end and free theirs. Where there is none, the job that got its
        place first goes on whatever it holds. Raises the error that the job ends with meanwhile.
        """
        with self._lock:
            fits = self._fits(job, size)
            if not fits:
                job.await_no_client()
                self._lock.wait_for(lambda: job.stopped() or self._fits(job, size))
                job.await_client(self.patience.pixels)
            job.bytes = size
        job.keep_on(0)

    def submit(self, job: Job, request: Request) -> int:
        """Queue the job in its client's line; returns how many jobs run before it starts (0: next)."""
        with self._lock:
            if self._closed:
                raise ShuttingDown()
            job.request, job.submitted = request, time.monotonic()
            job.await_no_client()
            self._receiving.pop(job, None)
            self._turns.setdefault(job.client, deque()).append(job)
            self._lock.notify_all()
            position = self._order().index(job)
            self._tell_positions()
            return position

    def stop(self, job: Job) -> None:
        """The job's stream is gone, wherever it waits."""
        job.stop()
        with self._lock:
            self._lock.notify_all()

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
        """Jobs that have a seat and don't run yet."""
        with self._lock:
            return sum(not job.began for job in self._open)

    @property
    def running(self) -> bool:
        with self._lock:
            return self._running is not None

    def idle_seconds(self) -> float:
        """Since the last job ended that was worked on; 0 while there is one."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._idle_since

    def end_silent(self) -> None:
        """End the streams whose clients fell silent when it was their turn: they hold a place."""
        now = time.monotonic()
        with self._lock:
            silent = [job for job in self._open if job.is_silent(now)]
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
        self._open.pop(job, None)
        self._receiving.pop(job, None)
        if job.began:  # what is refused is no use of the daemon
            self._idle_since = time.monotonic()
        self._give_places()

    # -- places and memory; the lock is held

    def _outside(self) -> list[Job]:
        """Jobs that wait for a place, in the order in which they get one."""
        held = Counter(job.client for job in self._open if job.has_place)
        left = [job for job in self._open if job.client and not job.has_place and not job.stopped()]
        order = []
        while left:
            job = min(left, key=lambda each: held[each.client])  # the first to come of those that have fewest
            held[job.client] += 1
            left.remove(job)
            order.append(job)
        return order

    def _outside_of(self, job: Job) -> int:
        """How many jobs are before one that waits for a place."""
        order = self._outside()
        inside = sum(each.has_place and not each.began for each in self._open)
        return inside + (order.index(job) if job in order else 0)

    def _give_places(self) -> None:
        """Give free places to those that wait for one, and wake everyone who waits for anything."""
        held = Counter(job.client for job in self._open if job.has_place)
        free, share = self._places - held.total(), max(2, self._places // 2)
        for job in self._outside():
            if free and held[job.client] < share:
                job.has_place, self._receiving[job] = True, None
                held[job.client] += 1
                free -= 1
        self._lock.notify_all()

    def _fits(self, job: Job, size: int) -> bool:
        others = sum(other.bytes for other in self._open if other is not job)
        if others + size <= self._bytes:
            return True
        will_be_freed = any(other.bytes and other not in self._receiving for other in self._open)
        return not will_be_freed and next(iter(self._receiving)) is job

    # -- positions; the lock is held

    def _order(self) -> list[Job]:
        """Waiting jobs in the order they will run: one of each client in turn."""
        lines = [list(line) for line in self._turns.values()]
        longest = max(map(len, lines), default=0)
        return [line[turn] for turn in range(longest) for line in lines if turn < len(line)]

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._order()):
            job.report("QUEUED", 0.0, position)
        self._lock.notify_all()
