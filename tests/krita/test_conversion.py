"""Pixel and colour conversion in Krita without a window, by kritarunner."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import krita_app
import pytest
from krita_app import Profile

SCRIPT = krita_app.HERE / "cases" / "conversion.py"


@pytest.fixture(scope="module")
def results(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    report: Path = tmp_path_factory.mktemp("conversion") / "report.json"
    plugins = profile.resources / "pykrita"
    environment = {
        **profile.environment,
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": f"{SCRIPT.parent}:{plugins}",
    }
    command = krita_app.command_of("kritarunner", "-s", "conversion", "-f", "main", str(report))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    results: dict[str, str] = json.loads(report.read_text("utf-8"))
    return results


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_kritarunner(results: dict[str, str], case: str) -> None:
    assert not results[case], results[case]
