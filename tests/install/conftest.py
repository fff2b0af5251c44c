"""What the tests of install.py share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_sigterm() -> Iterator[None]:
    """`main()` changes what SIGTERM does, so that is put back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
