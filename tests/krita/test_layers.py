"""Which layer is read, what is added and what stays, in a real Krita with the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import krita_app
import numpy as np
import pytest

SCRIPT = krita_app.HERE / "cases" / "layers.py"


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)


@pytest.mark.parametrize(
    "case", ["soft_object_without_selection", "partly_off_the_canvas", "multiplied", "soft_selection"]
)
def test_equals_the_command_line(report: dict[str, Any], folder: Path, tmp_path: Path, case: str) -> None:
    size = krita_app.check(report, case)["size"]
    before, after, mask = apps.left(folder, case, "before", "after", "mask", size=size)
    wanted = apps.harmonized(before[..., 2::-1], mask, tmp_path, "tiny")[..., ::-1]
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert np.abs(after[..., :3].astype(int) - before[..., :3])[mask == 255].max() > 4
    whole = mask == 255
    assert np.array_equal(wanted[whole], after[..., :3][whole])
    if case in ("multiplied", "soft_selection"):  # here the command line blends soft edges in the same way
        assert np.abs(wanted.astype(int) - after[..., :3]).max() <= 1


def test_soft_edges_are_composed_once(report: dict[str, Any], folder: Path) -> None:
    """scene * (1 - alpha) + harmonized colour * alpha. A second layer or a halo would give something else."""
    case = "soft_object_without_selection"
    size = krita_app.check(report, case)["size"]
    names = ("before", "after", "object", "result")
    before, after, own, result = (one.astype(float) for one in apps.left(folder, case, *names, size=size))
    alpha = own[..., 3:] / 255
    soft = (alpha[..., 0] > 0.1) & (alpha[..., 0] < 0.9)
    assert soft.sum() > 100
    scene = (before[..., :3] - own[..., :3] * alpha) / np.where(alpha < 1, 1 - alpha, 1)
    wanted = scene * (1 - alpha) + result[..., :3] * alpha
    assert np.abs(wanted - after[..., :3])[soft].max() < 2.5
