"""The layers that count as the scene, in a real GIMP with the real daemon."""

from __future__ import annotations

from typing import Any

import apps
import gimp_app
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "labels.py"


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases in one GIMP."""
    folder = tmp_path_factory.mktemp("labels")
    return gimp_app.run(profile, SCRIPT, folder, extra={"TEST_VENDOR": str(profile.vendor)})


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)
