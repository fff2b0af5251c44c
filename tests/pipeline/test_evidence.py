"""An object that is black, white or gray all over is not pulled anywhere; whatever says something is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glihamba.models import load
from glihamba.networks.colour_transform import ColourTransform
from glihamba.pipeline.evidence import evidence, faded
from glihamba.pipeline.harmonize import harmonize, predict


def scene(colour: tuple[int, int, int], noise: float = 0.0, size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A warm, grainy scene with an ellipse of that colour, its edge mixed with the scene."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:size, :size] / size - 0.5
    picture = np.array([150.0, 110.0, 70.0]) + random.normal(0, 25, (size, size, 3)) + 60 * y[..., None]
    cover = np.clip((0.06 - (x**2 + 2 * y**2)) * 60, 0, 1)[..., None]
    painted = np.array(colour) + random.normal(0, noise, (size, size, 1)) if noise else np.array(colour)
    mixed = np.clip(picture * (1 - cover) + painted * cover, 0, 255)
    return mixed.round().astype(np.uint8), (cover[..., 0] * 255).round().astype(np.uint8)


@pytest.mark.parametrize("colour", [(0, 0, 0), (6, 6, 7), (255, 255, 255), (128, 128, 128)])
def test_what_has_no_colour_is_left_and_the_person_told(colour: tuple[int, int, int]) -> None:
    picture, mask = scene(colour)
    result = harmonize(picture, mask, load("glihamba-tiny"))
    assert np.array_equal(result.pixels, picture)
    assert [note.message for note in result.warnings] == ["WARNING.COLOURLESS"]
    variants, warnings = predict(picture, mask, load("glihamba-tiny"))
    assert [note.message for note in warnings] == ["WARNING.COLOURLESS"]
    same = ColourTransform.identity().base[0].numpy()
    assert all(np.array_equal(variant.prediction.base, same) for variant in variants)


@pytest.mark.parametrize(("colour", "noise"), [((40, 60, 160), 0.0), ((60, 60, 60), 20.0)])
def test_what_has_a_colour_or_varies_is_harmonized(colour: tuple[int, int, int], noise: float) -> None:
    picture, mask = scene(colour, noise)
    result = harmonize(picture, mask, load("glihamba-tiny"))
    assert np.abs(result.pixels.astype(int) - picture)[mask == 255].mean() > 2
    assert not result.warnings


def test_it_fades_in_between() -> None:
    shares = []
    for level in range(12):
        small = torch.full((1, 3, 8, 8), 0.5)
        small[0, 0] += level / 255
        shares.append(evidence(small, torch.ones(1, 1, 8, 8)))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert any(0 < share < 1 for share in shares)


def test_a_soft_object_without_a_core_counts_where_it_is_densest() -> None:
    small, covered = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    covered[..., 2:4, 2:4] = 0.4
    small[0, 0, 6, 6] = 1.0  # outside
    assert evidence(small, covered) == 0
    small[0, 0, 2:4, 2:4] = 1.0
    assert evidence(small, covered) == 1


def test_a_faded_transform_changes_so_much_less(bend: ColourTransform) -> None:
    colours = torch.rand(1, 3, 9, 9)
    whole, half = (each.apply(colours) - colours for each in (bend, faded(bend, 0.5)))
    assert torch.allclose(half, whole / 2, atol=1e-6)
    assert faded(bend, 1.0) is bend
