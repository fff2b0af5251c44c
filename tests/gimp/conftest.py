"""The real GIMP with the assembled plug-in, and the real daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "editors"), str(REPOSITORY / "plugins")]

import apps  # noqa: E402
import assemble  # noqa: E402
import gimp_app  # noqa: E402
from daemons import daemon, person, real_daemon  # noqa: E402, F401
from gimp_app import Profile  # noqa: E402


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
    folder = REPOSITORY / "build" / "gimp" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
