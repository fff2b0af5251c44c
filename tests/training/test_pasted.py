"""Objects that are moved within their photographs, and masks that do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from glihamba_training.data.photos import PhotoDataset, photo_dataset
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.misfit import MISFIT
from glihamba_training.synthesis.pasted import LONGEST, movable, paste_elsewhere
from glihamba_training.synthesis.settings import SynthesisSettings

SIDE = 64


def red_things(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gray-green ramps with a red box each, at random places."""
    rng = np.random.default_rng(seed)
    photo = torch.zeros(count, 3, SIDE, SIDE)
    photo[:, 1] = torch.linspace(0.2, 0.8, SIDE)
    mask = torch.zeros(count, 1, SIDE, SIDE)
    for each in range(count):
        (top, left), (height, width) = rng.integers(0, 36, 2), rng.integers(8, 26, 2)
        mask[each, :, top : top + height, left : left + width] = 1
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    return torch.where(mask > 0, red, photo), mask


def test_the_object_is_under_the_new_mask_and_nowhere_else():
    photo, mask = red_things(64, 0)
    picture, cover = paste_elsewhere(photo, mask, torch.Generator().manual_seed(0))
    redness, covered = picture[:, :1], cover > 0.999
    assert covered.any((1, 2, 3)).all()
    assert redness[covered].min() > 0.99
    assert redness[cover == 0].max() == 0
    assert ((cover - mask).abs().mean((1, 2, 3)) > 0.01).float().mean() > 0.9, "elsewhere"


def test_it_keeps_its_shape_but_for_the_stretched_scene():
    photo, mask = red_things(64, 1)
    _, cover = paste_elsewhere(photo, mask, torch.Generator().manual_seed(1))

    def aspect(of):
        wide, high = ((of[:, 0] > 0.5).any(axis).sum(1).float() for axis in (1, 2))
        return wide / high

    stretched = aspect(cover) / aspect(mask)
    assert stretched.max() < LONGEST * 1.3
    assert stretched.min() > 1 / LONGEST / 1.3


def test_it_comes_mirrored_half_of_the_time():
    photo, mask = red_things(200, 2)
    ramp = torch.linspace(0, 1, SIDE).expand(SIDE, SIDE)
    photo[:, 2] = torch.where(mask[:, 0] > 0, ramp, 0)  # bluer to the right
    picture, cover = paste_elsewhere(photo, mask, torch.Generator().manual_seed(2))
    blue, at = picture[:, 2:], torch.linspace(-1, 1, SIDE)
    middle = (cover * at).sum((1, 2, 3)) / cover.sum((1, 2, 3))
    slope = ((at - middle.view(-1, 1, 1, 1)) * (blue - blue.mean()) * cover).sum((1, 2, 3))
    assert 0.3 < (slope < 0).float().mean() < 0.7


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_has_no_room_or_no_object_stays(value):
    photo = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    mask = torch.full((4, 1, SIDE, SIDE), value)
    picture, cover = paste_elsewhere(photo, mask, torch.Generator().manual_seed(0))
    assert torch.equal(picture, photo)
    assert torch.equal(cover, mask)


def test_a_sky_stays_and_what_is_cut_off_once_is_cut_off_by_the_same_side():
    photo, mask = torch.full((40, 3, SIDE, SIDE), 0.5), torch.zeros(40, 1, SIDE, SIDE)
    mask[:20, :, :20] = 1  # three sides
    mask[20:, :, 20:40, :20] = 1  # the left one
    photo[20:, 0, 20:40, :8] = 1.0  # where it is cut off
    picture, cover = paste_elsewhere(photo, mask, torch.Generator().manual_seed(5))
    assert torch.equal(picture[:20], photo[:20])
    assert torch.equal(cover[:20], mask[:20])
    left, right = (picture[20:, 0, :, column] > 0.8 for column in (2, -3))
    assert (left.any(1) ^ right.any(1)).all()
    assert right.any()
    masks = (mask[:, 0] * 255).byte().numpy()
    which = np.arange(40, dtype=np.int32)
    dataset = movable(
        PhotoDataset(np.zeros((40, SIDE, SIDE, 3), np.uint8), masks, which, np.zeros(40, np.int8))
    )
    assert dataset.photo_of.tolist() == list(range(20, 40))


@pytest.mark.parametrize("lattice", [False, True])
def test_a_share_of_the_batch_is_pasted_and_the_dataset_is_not_touched(photo_shards, lattice):
    dataset = photo_dataset(photo_shards, "train", 96)
    before = np.array(dataset.photos)
    home, half, all_of_it = (
        Synthesis(dataset, SynthesisSettings(pasted=pasted), 4, lattice=lattice).batch(0, 72, 32)
        for pasted in (0.0, 0.5, 1.0)
    )
    again = Synthesis(dataset, SynthesisSettings(pasted=0.5), 4, lattice=lattice).batch(0, 72, 32)
    assert all(torch.equal(a, b) for a, b in zip(half, again, strict=True))
    assert (half.composite - half.real).abs().mul(half.mask == 0).max() == 0
    assert 0 < half.mask.mean() < 0.5
    assert not torch.equal(home.mask, all_of_it.mask)
    assert (dataset.photos == before).all()


@pytest.mark.slow
def test_masks_miss_by_a_little_and_pictures_do_not_change():
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 96, 96), np.uint8)
    masks[:, 20:70, 30:60] = 255
    dataset = PhotoDataset(
        rng.integers(0, 255, (6, 96, 96, 3), np.uint8),
        masks,
        np.arange(6, dtype=np.int32),
        np.zeros(6, np.int8),
    )
    settings = SynthesisSettings(smallest_crop=1.0)
    fitting = Synthesis(dataset, settings, 1).batch(0, 96, 200)
    moved = Synthesis(dataset, replace(settings, misfit=0.5), 1).batch(0, 96, 200)
    assert torch.equal(moved.composite, fitting.composite)
    assert torch.equal(moved.real, fitting.real)
    wider, narrower = ((sign * (moved.mask - fitting.mask)).amax((1, 2, 3)) > 0.5 for sign in (1, -1))
    assert not (wider & narrower).any()
    assert 0.15 < wider.float().mean() < 0.35
    assert 0.15 < narrower.float().mean() < 0.35
    rows = (moved.mask[:, 0].amax(2) > 0.5).sum(1)
    widest = round(MISFIT * 96)
    assert set(rows.tolist()) <= set(range(50 - 2 * widest, 50 + 2 * widest + 1, 2))


def test_no_mask_is_shrunk_away():
    masks = np.zeros((2, 96, 96), np.uint8)
    masks[:, 40, 20:80] = 255  # a line
    dataset = PhotoDataset(
        np.full((2, 96, 96, 3), 90, np.uint8), masks, np.arange(2, dtype=np.int32), np.zeros(2, np.int8)
    )
    settings = SynthesisSettings(smallest_crop=1.0, misfit=1.0, area=(0.0, 1.0))
    batch = Synthesis(dataset, settings, 0).batch(0, 96, 64)
    assert (batch.mask.amax((1, 2, 3)) > 0.5).all()
