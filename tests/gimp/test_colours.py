"""Every precision, in a real GIMP with the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import numpy as np
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "colours.py"
DEPTHS = ("u8", "u16", "u32", "half", "float", "double")
PRECISIONS = [f"{depth}_{curve}" for depth in DEPTHS for curve in ("linear", "non_linear")]
SPACES = [
    f"{precision}_{profile}"
    for precision in (*PRECISIONS, "u8_perceptual", "float_perceptual")
    for profile in ("srgb", "adobe")
]
WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("colours")


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, folder: Path) -> dict[str, Any]:
    """All cases in one GIMP."""
    return gimp_app.run(profile, SCRIPT, folder)


@pytest.mark.parametrize("case", [*SPACES, *apps.cases_of(SCRIPT)])
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)


def picture(folder: Path, case: str, name: str) -> np.ndarray:
    """(H,W,3) sRGB, 0 to 255, not rounded."""
    pixels = np.fromfile(folder / f"{case}.{name}", np.float32).reshape(HEIGHT, WIDTH, -1)
    return pixels[..., :3] * 255


def mask(folder: Path, case: str) -> np.ndarray:
    return np.fromfile(folder / f"{case}.mask", np.uint8).reshape(HEIGHT, WIDTH) > 0


@pytest.mark.parametrize("case", [case for case in SPACES if case.endswith("adobe")])
def test_the_way_there_and_back_changes_no_colour(report: dict[str, Any], folder: Path, case: str) -> None:
    """8-bit pixels do not change. Deeper pixels change by less than 1/50 of an 8-bit level."""
    apps.check(report, case)
    worst = np.abs(picture(folder, case, "before") - picture(folder, case, "unchanged")).max()
    assert worst <= (0.0 if case.startswith("u8") else 0.02), worst


@pytest.mark.parametrize("case", SPACES)
def test_the_result_is_that_of_8_bit_srgb(report: dict[str, Any], folder: Path, case: str) -> None:
    """The result does not depend on the colour space of the image."""
    apps.check(report, case)
    inside = mask(folder, case)
    assert np.array_equal(inside, mask(folder, "u8_non_linear_srgb"))
    reference, found = (picture(folder, name, "after")[inside] for name in ("u8_non_linear_srgb", case))
    worst = np.abs(reference - found).max()
    # 8-bit linear light has coarse steps in dark colours.
    assert worst <= (7 if case.startswith("u8_linear") else 2), worst


@pytest.mark.parametrize("case", ["gray_8", "gray_float"])
def test_gray_stays_gray_and_changes(report: dict[str, Any], folder: Path, case: str) -> None:
    apps.check(report, case)
    before, after = (picture(folder, case, name) for name in ("before", "after"))
    assert np.ptp(after, axis=2).max() < 0.01
    assert np.abs(after - before).max() > 2


@pytest.mark.parametrize("case", [name for name in SPACES if name.startswith(("u8_non", "u16_non"))])
def test_the_exported_picture(report: dict[str, Any], folder: Path, case: str) -> None:
    """Outside the selection, the pixels of the exported file do not change by one bit."""
    import pyvips

    apps.check(report, case)
    before, after = (
        pyvips.Image.new_from_file(str(folder / f"{case}.{name}.png")).numpy() for name in ("before", "after")
    )
    assert before.dtype == (np.uint8 if case.startswith("u8") else np.uint16)
    outside = ~mask(folder, case)
    assert np.array_equal(before[outside], after[outside])
    assert not np.array_equal(before[~outside], after[~outside])
