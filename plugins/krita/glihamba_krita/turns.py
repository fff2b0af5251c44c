"""One at a time: what is active in Krita is one thing for all jobs, and adding a result changes it."""

from __future__ import annotations

from collections import deque

from glihamba_client.host import Steps, T


class Turns:
    """Lets one generator work at a time, in the order they came. All are driven by one thread."""

    def __init__(self) -> None:
        self._queue: deque[object] = deque()

    def hold(self, steps: Steps[T]) -> Steps[T]:
        """The same steps, begun when those that came before have ended.

        The turn passes on however the steps end: by returning, by an exception, or closed half-way.
        """
        turn = object()
        self._queue.append(turn)
        try:
            while self._queue[0] is not turn:
                yield None
            return (yield from steps)
        finally:
            self._queue.remove(turn)
