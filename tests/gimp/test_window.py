"""In a real GIMP, only the window around the object is read, sent and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import numpy as np
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "window.py"
OBJECT = 300 * 300
WINDOW = 1500 * 1500  # around it, of 3000 x 2400 pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("window")


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, folder: Path) -> dict[str, Any]:
    """All cases in one GIMP."""
    return gimp_app.run(profile, SCRIPT, folder, extra={"TEST_VENDOR": str(profile.vendor)})


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_bytes(report: dict[str, Any], case: str) -> None:
    """Picture and mask are read in the window, and the object's layer, mask and selection in its box."""
    count = apps.check(report, case)["count"]
    window, own = [1400, 900, 1500, 1500], [2000, 1500, 300, 300]
    assert count["rects"] == [window, window, own]
    assert count["sent"] == [4 * WINDOW, WINDOW, 4 * OBJECT]
    selection = OBJECT if case.startswith("selected") else 0
    assert count["read"] == 5 * WINDOW + 4 * OBJECT + selection
    assert count["written"] == 4 * OBJECT + selection


@pytest.mark.parametrize("case", ["on_a_layer", "below_another_layer"])
def test_equals_the_command_line(report: dict[str, Any], folder: Path, tmp_path: Path, case: str) -> None:
    size = apps.check(report, case)["size"]
    before, after, mask = apps.left(folder, case, "before", "after", "mask", size=size)
    wanted = apps.harmonized(before, mask, tmp_path, "tiny")
    assert np.array_equal(wanted, after[..., :3])
