"""Which layer is read, what is added, what stays: in a real GIMP, against the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "layers.py"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, folder: Path) -> dict[str, Any]:
    """All cases in one GIMP."""
    return gimp_app.run(profile, SCRIPT, folder)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)
