"""The colour statistics of the transform head, on pictures whose statistics are known."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from glihamba.networks import colour_statistics_kernel
from glihamba.networks.colour_statistics import (
    BORDER,
    COLOURS,
    JOINT,
    colour_statistics,
    describe,
    describe_border,
    joint_histograms,
    rims,
)

SIDE = 64


@pytest.fixture
def disc():
    """(1,1,64,64): a disc of radius 20 in the middle."""
    across = torch.arange(SIDE) - SIDE / 2 + 0.5
    return ((across[:, None] ** 2 + across**2) < 20**2).float()[None, None]


def flat(*colour):
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)


def test_widths_are_as_announced(disc):
    picture = torch.rand(1, 3, SIDE, SIDE)
    mean, colours = describe(picture, disc, 1 - disc)
    assert mean.shape == (1, 3)
    assert colours.shape == (1, COLOURS)
    assert describe_border(picture, disc, *rims(disc)).shape == (1, BORDER)
    assert joint_histograms(picture, disc).shape == (1, JOINT)


def test_rims_lie_on_their_own_side_of_the_border_and_nowhere_else(disc):
    inner, outer = rims(disc)
    assert ((inner > 0) <= (disc == 1)).all()
    assert ((outer > 0) <= (disc == 0)).all()
    radius = (torch.arange(SIDE) - SIDE / 2 + 0.5).square()
    radius = (radius[:, None] + radius).sqrt()
    touched = (inner + outer)[0, 0] > 0
    assert touched[(radius - 20).abs() < 1].all()
    assert not touched[(radius - 20).abs() > 4].any()


def test_rims_grow_with_the_picture(disc):
    large = disc.repeat_interleave(2, -1).repeat_interleave(2, -2)
    for small, big in zip(rims(disc), rims(large), strict=True):
        assert float(big.mean() / small.mean()) == pytest.approx(1, abs=0.1)


def test_a_border_that_nobody_sees_has_no_contrast(disc):
    described = describe_border(flat(0.2, 0.5, 0.7), disc, *rims(disc))
    assert described[0, 12:].abs().max() < 1e-5


def test_the_border_shows_what_the_whole_object_hides(disc):
    inner, outer = rims(disc)
    scene = (flat(0.2, 0.2, 0.2) * (1 - disc)) + 0.6 * disc
    leaking = torch.where(outer > 0, torch.tensor(0.6), scene)  # the object's own colour, beyond its mask
    sharp, soft = (describe_border(picture, disc, inner, outer)[0] for picture in (scene, leaking))
    assert sharp[12:15] == pytest.approx(-0.4 * torch.ones(3), abs=1e-4), "outer less inner"
    assert soft[12:15].abs().max() < 1e-4


def test_the_joint_histogram_counts_every_pixel_once_and_at_its_colour(disc):
    picture = flat(1.0, 0.25, 0.0) * disc + flat(0.125, 0.5, 0.5) * (1 - disc)
    object_, scene = joint_histograms(picture, disc).square().view(2, 5, 5, 5)
    assert object_[4, 1, 0] == pytest.approx(1, abs=1e-5)
    assert scene[0, 2, 2] == pytest.approx(0.5, abs=1e-5), "half way between two nodes"
    assert scene[1, 2, 2] == pytest.approx(0.5, abs=1e-5)
    assert object_.sum() == pytest.approx(1, abs=1e-4)
    assert scene.sum() == pytest.approx(1, abs=1e-4)


def test_an_empty_side_gives_numbers(disc):
    picture = torch.rand(1, 3, SIDE, SIDE)
    for mask in (torch.zeros_like(disc), torch.ones_like(disc)):
        for described in (
            describe(picture, mask, 1 - mask)[1],
            describe_border(picture, mask, *rims(mask)),
            joint_histograms(picture, mask),
        ):
            assert torch.isfinite(described).all()


def test_a_mask_that_resampling_has_pushed_past_one_gives_numbers(disc):
    picture = torch.rand(1, 3, SIDE, SIDE)
    assert torch.isfinite(joint_histograms(picture, disc * (1 + 2e-7))).all()
    assert torch.isfinite(joint_histograms(picture, torch.full_like(disc, 1 + 2e-7))).all()


def pictures(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Five composites, masks and surroundings: soft, hard, empty, full and beyond 1 by rounding."""
    g = torch.Generator().manual_seed(height)
    composite = torch.rand(5, 3, height, width, generator=g)
    composite[0, 0] = 1.0  # a channel at its last node
    composite[1] = composite[1] * 1.5 - 0.25  # beyond both ends
    mask = torch.rand(5, 1, height, width, generator=g)
    mask[1] = (mask[1] > 0.7).float()
    mask[2], mask[3], mask[4] = 0.0, 1.0, 1 + 2e-7
    return composite, mask, torch.rand(5, 1, height, width, generator=g) * (1 - mask)


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="compiled by numba")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(64, 64), (33, 71), (2, 3)])
def test_one_pass_over_the_pixels_gives_what_the_operators_give(size, threads):
    composite, mask, around = pictures(*size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fused = colour_statistics(composite, mask, around)
    finally:
        torch.set_num_threads(before)
    plain = colour_statistics(composite.requires_grad_(), mask, around)
    assert plain.colours.requires_grad, "a gradient is asked for, so the operators ran"
    assert not fused.colours.requires_grad
    for name, ours, theirs in zip(fused._fields, fused, plain, strict=True):
        # The log ratio of a flat channel's deviation, 1e-2, has the variance's rounding times a thousand.
        tolerance = 1e-4 if name in ("colours", "border") else 2e-6
        assert torch.allclose(ours, theirs, atol=tolerance), (name, (ours - theirs).abs().max())


def test_a_colour_that_is_not_a_number_stays_none_and_harms_no_other_picture():
    composite, mask, around = pictures(16, 16)
    wanted = colour_statistics(composite, mask, around)
    composite[0, 1, 5, 5] = float("nan")
    composite[1, 1, 5, 5] = float("inf")
    found = colour_statistics(composite, mask, around)
    assert torch.isnan(found.mean[0, 1])
    assert not torch.isfinite(found.mean[1, 1])
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours[2:], theirs[2:])


def test_pictures_in_double_precision_go_the_exact_way():
    composite, mask, around = (plane.double() for plane in pictures(16, 16))
    assert colour_statistics(composite, mask, around).colours.dtype == torch.float64


def test_the_kernel_is_compiled_once_and_then_loaded():
    pytest.importorskip("numba")
    colour_statistics_kernel._kernel()
    again: Any = colour_statistics_kernel._kernel()  # numba's dispatcher
    assert [*again.stats.cache_hits.values()] == [1]
    assert not again.stats.cache_misses
