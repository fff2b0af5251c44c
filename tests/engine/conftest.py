"""What the tests of the engine share; the pictures lie in `tests/helpers/job_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use folders of the test's own instead of the person's."""
    monkeypatch.setenv("GLIHAMBA_DEVICE", "cpu")
    return own_home
