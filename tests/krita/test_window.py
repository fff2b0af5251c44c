"""In a real Krita, only the window around the object is read, sent and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import krita_app
import numpy as np
import pytest

SCRIPT = krita_app.HERE / "cases" / "window.py"
OBJECT = 300 * 300
WINDOW = 1500 * 1500  # around it, of 3000 x 2400 pixels


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_bytes(report: dict[str, Any], case: str) -> None:
    """The window is read once, and the object's layer once before and once after the work."""
    count = krita_app.check(report, case)["count"]
    window, own = [1400, 900, 1500, 1500], [2000, 1500, 300, 300]
    layer = [] if case == "multiplied" else [own]
    assert count["rects"] == [window, window, *layer]
    assert count["sent"] == [4 * WINDOW, WINDOW, *[4 * OBJECT for _ in layer]]
    assert count["read"] == 4 * (WINDOW + 2 * OBJECT)
    assert count["written"] == 4 * OBJECT


@pytest.mark.parametrize("case", ["on_a_layer", "multiplied"])
def test_equals_the_command_line(report: dict[str, Any], folder: Path, tmp_path: Path, case: str) -> None:
    size = krita_app.check(report, case)["size"]
    before, after, mask = apps.left(folder, case, "before", "after", "mask", size=size)
    wanted = apps.harmonized(before[..., 2::-1], mask, tmp_path, "tiny")[..., ::-1]
    assert np.array_equal(wanted, after[..., :3])
