"""What the tests of install.py share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which `main()` changes."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
