"""Fixtures of the tests of the engine. The pictures are in `tests/job_pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(autouse=True)
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use folders of the test's own instead of the person's."""
    monkeypatch.setenv("GLIHAMBA_DEVICE", "cpu")
    return own_home
