"""What the tests of the engine share; the pictures lie in `tests/job_pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(autouse=True)
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the person's own is read or written."""
    monkeypatch.setenv("GLIHAMBA_DEVICE", "cpu")
    return own_home
