"""The real GIMP with the assembled plug-in, and the real daemon."""

from __future__ import annotations

from pathlib import Path

import apps
import assemble
import gimp_app
import pytest
from daemons import daemon, person, real_daemon  # noqa: F401
from gimp_app import Profile


@pytest.fixture(scope="session")
def gimp() -> None:
    """Skips where there is no GIMP and none can be made."""
    if why := gimp_app.missing():
        pytest.skip(why)


@pytest.fixture(scope="session")
def profile(gimp: None, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A GIMP with the plug-in as install.py installs it."""
    made = Profile(tmp_path_factory.mktemp("gimp"))
    assemble.assemble("gimp", made.plugins)
    return made


@pytest.fixture(scope="session")
def serve() -> list[str]:
    return apps.serve(gimp_app.ROOT)


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept to be looked at."""
    folder = apps.REPOSITORY / "build" / "gimp" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
