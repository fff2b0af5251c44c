"""Which layer is read, what is added and what stays, in a real GIMP with the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import numpy as np
import pytest
from gimp_app import Profile
from PIL import Image

SCRIPT = gimp_app.HERE / "cases" / "layers.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, folder: Path) -> dict[str, Any]:
    """All cases in one GIMP."""
    return gimp_app.run(profile, SCRIPT, folder)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    facts = apps.check(report, case)
    if "skipped" in facts:
        pytest.skip(facts["skipped"])


@pytest.mark.parametrize(
    "case", ["soft_object_without_selection", "negative_offsets", "soft_selection", "hard_selection"]
)
def test_equals_the_command_line(report: dict[str, Any], folder: Path, tmp_path: Path, case: str) -> None:
    size = apps.check(report, case)["size"]
    before, after, mask = apps.left(folder, case, "before", "after", "mask", size=size)
    wanted = apps.harmonized(before, mask, tmp_path, "tiny")
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert np.abs(after[..., :3].astype(int) - before[..., :3])[mask == 255].max() > 4
    whole = mask == 255
    assert np.array_equal(wanted[whole], after[..., :3][whole])
    if case.endswith("selection") and case != "soft_object_without_selection":
        assert np.abs(wanted.astype(int) - after[..., :3]).max() <= 1, "mixed by coverage as in files"


def test_strength_is_the_share_of_the_change(report: dict[str, Any], folder: Path) -> None:
    size = apps.check(report, "strength")["size"]
    before, half = (one.astype(float) for one in apps.left(folder, "strength", "before", "after", size=size))
    (whole,) = apps.left(folder, "soft_selection", "after", size=size)
    assert np.abs((before + whole) / 2 - half).max() <= 1.5
    assert np.abs(half - before).max() > 2


def test_the_exported_picture(report: dict[str, Any], folder: Path) -> None:
    """Outside the selection, the pixels of the exported file do not change by one bit."""
    apps.check(report, "saved")
    before, after = (np.asarray(Image.open(folder / f"saved.{name}.png")) for name in ("before", "after"))
    (mask,) = apps.left(folder, "saved", "mask", size=before.shape[1::-1])
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask == 255], after[mask == 255])
