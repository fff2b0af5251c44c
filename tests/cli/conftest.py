"""Fixtures of the tests of the command line. Their helpers are in `cli_pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glihamba import settings
from glihamba.commands.local import LocalService

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def service() -> LocalService:
    return LocalService(settings.in_force({}, device="cpu"))
