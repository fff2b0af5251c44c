"""The tests of install.py import it and the plugins' assembly from the checkout, and helpers from here."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins"), str(HERE)]


@pytest.fixture(autouse=True)
def own_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which `main()` changes."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
