"""The real Krita with the assembled plugin, and the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cases of the module's SCRIPT write files."""
    return tmp_path_factory.mktemp(Path(request.module.SCRIPT).stem)


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest, profile: Profile, folder: Path, artefacts: Path) -> dict[str, Any]:
    """What became of the cases of the module's SCRIPT, all in one Krita. Screenshots are kept."""
    request.getfixturevalue("daemon")
    found = krita_app.run(profile, request.module.SCRIPT, folder)
    for picture in folder.glob("*.png"):
        (artefacts / picture.name).write_bytes(picture.read_bytes())
    return found
