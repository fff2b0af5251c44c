"""Failures that pass by themselves: nothing was changed, so the client waits and tries again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from glihamba_client.errors import ClientError
from glihamba_client.host import Progress

T = TypeVar("T")

# The code of a failure and what is said meanwhile. A full daemon is waited for as long as the person likes.
BUSY = {"QUEUE_FULL": "BUSY"}
# No answer: the daemon has ended since it was found. Nobody else says so, a wrong address is REMOTE_GONE.
LOST = {"SHUTTING_DOWN": "AGAIN", "DAEMON_LOST": "AGAIN", "NO_ANSWER": "AGAIN"}
TRIES = 3  # of a job whose daemon is lost: a picture that ends every daemon must not do so for ever
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds


async def patiently(
    attempt: Callable[[], Awaitable[T]], report: Callable[[Progress], None] = lambda progress: None
) -> T:
    """What `attempt` returns, tried again after failures that pass; raises those that do not."""
    lost, pause = 0, FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except ClientError as error:
            # A daemon on another machine that is started anew is out of reach for a while.
            is_lost = error.code in LOST or (lost and error.code == "REMOTE_GONE")
            lost += bool(is_lost)
            if not (is_lost or error.code in BUSY) or lost >= TRIES:
                raise
            report(Progress(BUSY.get(error.code, "AGAIN")))
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # so that many do not come back at once
        pause = min(2 * pause, LONGEST_PAUSE)
