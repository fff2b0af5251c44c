"""Benchmarks of the plug-in in a real GIMP, printed and kept beside the screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "bench.py"


@pytest.fixture(scope="module")
def report(profile: Profile, real_daemon: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    extra = {"TEST_VENDOR": str(profile.vendor)}
    return gimp_app.run(profile, SCRIPT, tmp_path_factory.mktemp("bench"), extra=extra)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_large_pictures(
    report: dict[str, Any], case: str, artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check only that the plug-in works, because the figures depend on the machine and its load."""
    line, figures = apps.figures(report, case, artefacts)
    with capsys.disabled():
        print(f"{line}, GIMP {report['gimp']}")
    assert figures["procedure"] > 0
