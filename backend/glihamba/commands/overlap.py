"""Pictures of a folder under way together: one is read and another encoded while a third is computed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

from glihamba.commands.pictures import Picture, Worker
from glihamba_client.host import Choice
from glihamba_proto.errors import Failure

AT_ONCE = 3  # pictures in memory: one is read, one is computed, one is encoded
_BEFORE_ARRIVAL = {"CONNECTING", "STARTING", "BUSY", "AGAIN", "RECEIVING"}
_LOOK = 0.05  # seconds between two looks at the picture before

# A picture may fail with these because of the pictures beside it, so it is tried again alone.
_NEIGHBOURS_FAULT = {"QUEUE_FULL", "OUT_OF_MEMORY", "DAEMON_LOST"}


class UnderWay:
    """One picture in a thread of its own: it is read, harmonized and encoded, and not yet written."""

    def __init__(
        self, work: Worker, picture: Picture, before: UnderWay | None, given_up: threading.Event
    ) -> None:
        """`before` is the picture whose job starts before this one's. `given_up` ends the work."""
        self.picture, self.ended = picture, threading.Event()
        self.progress: Any = None
        self._work, self._before, self._given_up = work, before, given_up
        self._job: Any = None
        self._encoded: tuple[Path, bytes] | None = None
        self._facts: dict[str, Any] = {}
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="glihamba-picture", daemon=True).start()

    def start(self, capture: Any, choice: Choice) -> Any:
        """Start the job once the one before has arrived at the service, as `Service.start` does."""
        before, self._before = self._before, None
        while before is not None and not before.ended.wait(_LOOK) and not before._arrived():
            pass
        self._job = self._work.service.start(capture, choice)
        return self._job

    def written(self) -> dict[str, Any]:
        """Write the output of a picture that has ended. Returns and raises as `Worker.harmonize` does."""
        from glihamba.image_files import replace_file

        if self._error is not None:
            raise self._error
        assert self._encoded is not None
        replace_file(*self._encoded)
        return self._facts

    def failed_beside_others(self) -> bool:
        return isinstance(self._error, Failure) and self._error.code in _NEIGHBOURS_FAULT

    def _arrived(self) -> bool:
        return self._job is not None and self._job.progress().stage not in _BEFORE_ARRIVAL

    def _run(self) -> None:
        def show(progress: Any) -> None:
            self.progress = progress

        def keep(path: Path, data: bytes) -> None:
            self._encoded = path, data

        worker = Worker(self, self._work.choice)
        try:
            self._facts = worker.harmonize(
                self.picture, show=show, write=keep, is_cancelled=self._given_up.is_set
            )
        except BaseException as error:
            self._error = error
        finally:
            self._before = self._job = None  # they hold pictures
            self.ended.set()


def in_order(
    work: Worker, pictures: Iterable[Picture], waiting: Callable[[UnderWay], None]
) -> Generator[UnderWay, None, None]:
    """Yield the pictures in their order, each when it has ended. At most AT_ONCE are in memory.

    `waiting` is called with the next picture about twenty times a second until it has ended. Closing the
    iterator gives up what is under way.
    """
    given_up = threading.Event()
    left, begun = iter(pictures), deque[UnderWay]()

    def end(one: UnderWay) -> UnderWay:
        while not one.ended.wait(_LOOK):  # on Windows a wait without a limit cannot be interrupted
            waiting(one)
        return one

    def begin() -> None:
        if (picture := next(left, None)) is not None:
            begun.append(UnderWay(work, picture, begun[-1] if begun else None, given_up))

    try:
        for _ in range(AT_ONCE):
            begin()
        while begun:
            waiting(begun[0])
            first = end(begun.popleft())
            if first.failed_beside_others():
                for other in begun:
                    end(other)
                first = end(UnderWay(work, first.picture, None, given_up))
            yield first
            del first  # its encoded picture, before the next one is read
            begin()
    finally:
        given_up.set()
