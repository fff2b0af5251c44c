"""Every colour model and depth, in a real Krita with the real daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import krita_app
import numpy as np
import pytest

SCRIPT = krita_app.HERE / "cases" / "colours.py"
CASES = krita_app.cases_of(SCRIPT)
SPACES = [
    name for name in CASES if name.startswith(("rgb", "srgb", "adobe", "rec2020", "gray", "lab", "cmyk"))
]
WIDTH, HEIGHT = 96, 64
INSIDE = np.s_[20:44, 30:62]


# Levels of 255. Linear light and Lab have coarse steps in 8 bits. Krita's conversion between RGB and CMYK
# is perceptual in both directions, which is no way back to the same colour; it is the document's own.
ALLOWED_ROUND_TRIP = {"cmyk_8": 16, "cmyk_16": 16, "cmyk_float": 16}
ALLOWED = {"rgb_8_linear": 5, "lab_8": 4, "cmyk_8": 34, "cmyk_16": 34, "cmyk_float": 34}


@pytest.mark.parametrize("case", CASES)
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)


def srgb(folder: Path, case: str, name: str) -> np.ndarray:
    """(H,W,3) RGB of 0 to 255, as Krita shows it."""
    pixels = np.fromfile(folder / f"{case}.{name}.srgb", np.uint8).reshape(HEIGHT, WIDTH, 4)
    return pixels[..., 2::-1].astype(int)


@pytest.mark.parametrize("case", SPACES)
def test_the_way_there_and_back_changes_no_colour(report: dict[str, Any], folder: Path, case: str) -> None:
    krita_app.check(report, case)
    before, after = (srgb(folder, case, name) for name in ("before", "unchanged"))
    worst = np.abs(before - after).max()
    assert worst <= ALLOWED_ROUND_TRIP.get(case, 0), worst


@pytest.mark.parametrize("case", [name for name in SPACES if not name.startswith("gray")])
def test_the_result_is_that_of_8_bit_srgb(report: dict[str, Any], folder: Path, case: str) -> None:
    """The result does not depend on the colour space of the document."""
    krita_app.check(report, case)
    reference, found = srgb(folder, "rgb_8", "after")[INSIDE], srgb(folder, case, "after")[INSIDE]
    worst = np.abs(reference - found).max()
    assert worst <= ALLOWED.get(case, 2), worst


def test_a_layer_of_8_bits_in_a_document_of_16(report: dict[str, Any], folder: Path) -> None:
    case = "layer_in_another_space_than_its_document"
    krita_app.check(report, case)
    reference, found = srgb(folder, "rgb_8", "after")[INSIDE], srgb(folder, case, "after")[INSIDE]
    assert np.abs(reference - found).max() <= 2


@pytest.mark.parametrize(("case", "kind"), [("rgb_16", "<u2"), ("rgb_float_linear", "<f4")])
def test_equals_the_command_line(
    report: dict[str, Any], folder: Path, tmp_path: Path, case: str, kind: str
) -> None:
    """Compare 16-bit and float pictures sample by sample."""
    import pyvips

    krita_app.check(report, case)
    before, after = (
        np.fromfile(folder / f"{case}.{name}", kind).reshape(HEIGHT, WIDTH, 4) for name in ("before", "after")
    )
    if kind == "<u2":
        before, after = before[..., [2, 1, 0, 3]], after[..., [2, 1, 0, 3]]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[INSIDE] = 255
    suffix, interpretation = ("png", "rgb16") if kind == "<u2" else ("tif", "scrgb")
    source, out = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    pyvips.Image.new_from_array(before).copy(interpretation=interpretation).write_to_file(str(source))
    pyvips.Image.new_from_array(mask).write_to_file(str(tmp_path / "mask.png"))
    command = [
        sys.executable,
        "-m",
        "glihamba",
        "harmonize",
        str(source),
        "--mask",
        str(tmp_path / "mask.png"),
    ]
    done = subprocess.run([*command, "-o", str(out), "--model", "tiny"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = pyvips.Image.new_from_file(str(out)).numpy()
    assert wanted.dtype == np.dtype(kind)
    assert not np.array_equal(before[INSIDE], after[INSIDE])
    if kind == "<u2":
        assert np.array_equal(wanted, after)
    else:  # Krita's composition of a group may change the last digit of a float
        assert np.abs(wanted - after).max() < 1e-6


@pytest.mark.parametrize("case", ["rgb_8", "rgb_8_linear", "rgb_16", "rgb_16_linear", "adobe_rgb_8"])
def test_the_exported_picture(report: dict[str, Any], folder: Path, case: str) -> None:
    """Outside the object, the pixels of the exported file do not change by one bit."""
    import pyvips

    krita_app.check(report, case)
    before, after = (
        pyvips.Image.new_from_file(str(folder / f"{case}.{name}.png")).numpy() for name in ("before", "after")
    )
    assert before.dtype == (np.uint8 if "_8" in case else np.uint16)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[INSIDE] = False
    assert np.array_equal(before[outside], after[outside])
    assert not np.array_equal(before[INSIDE], after[INSIDE])
