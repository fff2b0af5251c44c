"""The real Krita with the assembled plugin, and the real daemon."""

from __future__ import annotations

from pathlib import Path

import apps
import krita_app
import pytest
from daemons import daemon, person, real_daemon  # noqa: F401
from krita_app import Profile


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
    folder = apps.REPOSITORY / "build" / "krita" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
