"""The method without weights: Lab statistics."""

from __future__ import annotations

import pytest
import torch

from glihamba.networks.statistics import Statistics, StatisticsConfig, lab_to_srgb, srgb_to_lab


def scene_with_object(size: int = 64, box: slice = slice(20, 44)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    picture = 0.3 + 0.4 * torch.rand(1, 3, size, size, generator=generator)
    mask = torch.zeros(1, 1, size, size)
    mask[..., box, box] = 1
    return picture, mask


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # CIE L*a*b*, D65, published values of sRGB's corners
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_lab_is_lab(rgb, lab):
    found = srgb_to_lab(torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(found, torch.tensor(lab, dtype=torch.float64), atol=0.02, rtol=0)


def test_lab_there_and_back():
    rgb = torch.rand(2, 3, 17, 19)
    torch.testing.assert_close(lab_to_srgb(srgb_to_lab(rgb)), rgb, atol=2e-5, rtol=0)


def test_a_darkened_object_comes_most_of_the_way_back():
    real, mask = scene_with_object()
    composite = real * (1 - 0.5 * mask)
    error = [
        (picture - real).square().mean()
        for picture in (composite, Statistics(StatisticsConfig(1.0))(composite, mask))
    ]
    assert error[1] < error[0] / 10


def test_half_strength_goes_half_the_way():
    real, mask = scene_with_object()
    composite = real * (1 - 0.5 * mask)
    whole = Statistics(StatisticsConfig(1.0))(composite, mask) - composite
    half = Statistics(StatisticsConfig(0.5))(composite, mask) - composite
    torch.testing.assert_close(half, whole / 2)


def test_the_scene_is_untouched_and_the_soft_edge_blended():
    composite, mask = scene_with_object()
    composite = composite * (1 - 0.5 * mask)
    mask[..., 30, :] *= 0.5
    out = Statistics()(composite, mask)
    assert torch.equal(out.masked_select(mask == 0), composite.masked_select(mask == 0))
    assert out.min() >= 0
    assert out.max() <= 1


def test_the_ring_counts_more_than_the_far_background():
    """A grey object in a bright patch of a dark picture: the ring brightens it, the rest darkens it."""
    mask = torch.zeros(1, 1, 80, 80)
    mask[..., 34:46, 34:46] = 1
    composite = torch.full((1, 3, 80, 80), 0.1)
    composite[..., 26:54, 26:54] = 0.9
    composite = composite * (1 - mask) + 0.5 * mask
    middle = (..., 40, 40)
    assert (Statistics(StatisticsConfig(1.0, ring_share=1.0))(composite, mask)[middle] > 0.6).all()
    assert (Statistics(StatisticsConfig(1.0, ring_share=0.0))(composite, mask)[middle] < 0.4).all()


def test_each_picture_of_a_batch_by_itself():
    first, mask = scene_with_object()
    second = first.flip(3) * 0.6
    other = torch.zeros_like(mask)
    other[..., 5:15, 40:60] = 1
    together = Statistics()(torch.cat((first, second)), torch.cat((mask, other)))
    apart = torch.cat((Statistics()(first, mask), Statistics()(second, other)))
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_no_object_or_no_scene_changes_nothing(fill):
    composite, mask = scene_with_object()
    assert torch.equal(Statistics()(composite, torch.full_like(mask, fill)), composite)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_finite(value):
    composite, mask = scene_with_object()
    flat = torch.full_like(composite, value)
    assert torch.allclose(Statistics()(flat, mask), flat, atol=1e-4)


def test_any_size_even_one_pixel():
    for height, width in ((1, 1), (1, 50), (3, 2)):
        mask = torch.zeros(1, 1, height, width)
        mask[..., 0, 0] = 1
        out = Statistics()(torch.rand(1, 3, height, width), mask)
        assert out.shape == (1, 3, height, width)
        assert torch.isfinite(out).all()


def test_it_has_no_weights_and_is_applied_as_a_transform():
    real, mask = scene_with_object()
    composite = real * (1 - 0.5 * mask)
    network = Statistics(StatisticsConfig(1.0))
    assert not list(network.parameters())
    painted = network(composite, mask)
    corrected = composite + mask * (network.colour_transform(composite, mask).apply(composite) - composite)
    assert (painted - corrected).abs().max() < 0.01
