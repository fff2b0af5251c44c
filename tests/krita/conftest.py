"""The real Krita with the assembled plugin, and the real daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "editors"), str(REPOSITORY / "plugins")]

import apps  # noqa: E402
import krita_app  # noqa: E402
from daemons import daemon, person, real_daemon  # noqa: E402, F401
from krita_app import Profile  # noqa: E402


@pytest.fixture(scope="session")
def krita() -> None:
    """Skips where there is no Krita and none can be installed."""
    if why := krita_app.missing():
        pytest.skip(why)


@pytest.fixture(scope="session")
def profile(krita: None, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return krita_app.installed(tmp_path_factory.mktemp("krita"))


@pytest.fixture(scope="session")
def serve() -> list[str]:
    return apps.serve(krita_app.OTHER_ROOT)


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept to be looked at."""
    folder = REPOSITORY / "build" / "krita" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
