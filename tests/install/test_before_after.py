"""The installation's picture of before and after is drawn only if the object alone has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glihamba.demo import COMPOSITE, MASK


@pytest.fixture
def composite() -> np.ndarray:
    with Image.open(COMPOSITE) as image:
        assert image.mode == "RGB"
        return np.array(image)


@pytest.fixture
def coverage() -> np.ndarray:
    with Image.open(MASK) as image:
        assert image.mode == "L"
        return np.array(image)


def draw(result: np.ndarray, folder: Path) -> subprocess.CompletedProcess[str]:
    Image.fromarray(result).save(folder / "result.png")
    command = ["-m", "glihamba.demo.before_after", folder / "result.png", folder / "picture.png"]
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)


def test_the_bundled_pair_is_a_composite(composite: np.ndarray, coverage: np.ndarray) -> None:
    assert composite.shape[:2] == coverage.shape
    inside = (coverage == 255).mean()
    assert 0.1 < inside < 0.6, "room for an object and for its scene"
    assert coverage.shape[1] >= 1600, "large enough to look at"
    assert COMPOSITE.stat().st_size + MASK.stat().st_size < 1_000_000


def test_both_are_drawn_side_by_side(composite: np.ndarray, coverage: np.ndarray, tmp_path: Path) -> None:
    result = composite.copy()
    result[coverage == 255] //= 2
    done = draw(result, tmp_path)
    assert done.returncode == 0, done.stderr
    height, width = coverage.shape
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.height == height
        halves = np.asarray(picture, dtype=np.float64)
    middle = coverage == 255
    assert abs(halves[:, :width][middle].mean() - composite[middle].mean()) < 3
    assert abs(halves[:, -width:][middle].mean() - result[middle].mean()) < 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unchanged", "shows the composite without any change."),
        ("scene", "differs from the composite outside the mask."),
        ("size", "has another size or depth than the composite."),
    ],
)
def test_a_wrong_result_gets_a_sentence_and_no_picture(
    fault: str, words: str, composite: np.ndarray, coverage: np.ndarray, tmp_path: Path
) -> None:
    result = composite.copy()
    if fault == "scene":
        result[coverage != 0] //= 2
        result[0, 0] ^= 1
    elif fault == "size":
        result = result[:-1]
    done = draw(result, tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(words)
    assert not (tmp_path / "picture.png").exists()
