"""Waiting for something that other threads and processes do, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 3600.0  # seconds; pytest's limit is shorter


def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition is true, and return its value. Fails if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
