"""The edge clean-up in a real Krita with the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import krita_app
import pytest
from krita_app import Profile

SCRIPT = krita_app.HERE / "cases" / "edges.py"


@pytest.fixture(scope="module")
def report(
    profile: Profile, daemon: Any, tmp_path_factory: pytest.TempPathFactory, artefacts: Path
) -> dict[str, Any]:
    """All cases in one Krita."""
    folder = tmp_path_factory.mktemp("edges")
    report = krita_app.run(profile, SCRIPT, folder)
    for picture in folder.glob("*.png"):
        (artefacts / picture.name).write_bytes(picture.read_bytes())
    return report


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    facts = krita_app.check(report, case)
    assert not facts.get("left"), "boxes that are open when Krita ends"
