"""Fixtures every room shares."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The photographs and sample triples beside the checkout; a fresh clone has none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout: the photographs and triples are not distributed")
    return folder


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A person's data folder of the test's own; the daemon started in it is ended with it."""
    for name in [name for name in os.environ if name.startswith("GLIHAMBA_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(folder))
    monkeypatch.setenv("GLIHAMBA_EXIT_MINUTES", "5")
    yield folder
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
        process = psutil.Process(json.loads((folder / "run" / "endpoint.json").read_text())["pid"])
        if "serve" in process.cmdline():  # a test may have left a stale file with anybody's process id
            process.terminate()
