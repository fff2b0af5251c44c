"""What the tests of the command line share; the helpers lie in `tests/helpers/cli_pictures.py`."""

from __future__ import annotations

import pytest

from glihamba import settings
from glihamba.commands.local import LocalService


@pytest.fixture(scope="session")
def service() -> LocalService:
    return LocalService(settings.in_force({}, device="cpu"))
