"""Benchmarks of the plugin in a real Krita, printed and kept beside the screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import krita_app
import pytest
from krita_app import Profile

SCRIPT = krita_app.HERE / "cases" / "bench.py"


@pytest.fixture(scope="module")
def report(profile: Profile, real_daemon: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return krita_app.run(profile, SCRIPT, tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_large_pictures(
    report: dict[str, Any], case: str, artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check only that the plugin works, because the figures depend on the machine and its load."""
    line, figures = apps.figures(report, case, artefacts)
    with capsys.disabled():
        print(f"{line}, Krita {report['krita']}")
    assert figures["action to result"] > 0
