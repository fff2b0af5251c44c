"""Composites: unchanged outside the mask, recoloured inside by the given strength, and fixed by the seed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from glihamba_training.data.photos import photo_dataset
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.lut import look_up, random_lut
from glihamba_training.synthesis.retouching import retouch
from glihamba_training.synthesis.settings import SynthesisSettings
from glihamba_training.synthesis.statistics_transfer import transfer_statistics


@pytest.fixture
def dataset(photo_shards):
    return photo_dataset(photo_shards, "train", 48)


def test_dataset_holds_every_photograph_and_mask(dataset, photo_shards):
    assert dataset.photos.shape == (24, 48, 48, 3)
    assert dataset.masks.shape == (24, 48, 48)
    assert dataset.kind_of.tolist() == [0 if i % 3 else 2 for i in range(24)]
    assert 0 < dataset.masks.mean() < 128
    again = photo_dataset(photo_shards, "train", 48)
    assert (again.photos == dataset.photos).all()


def test_a_folder_without_shards_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"holds no photographs to use as train: give a folder of JPEG or PNG files, or of train\*\.tar",
    ):
        photo_dataset(tmp_path, "train", 48)


def test_same_seed_and_step_give_the_same_batch(dataset):
    first, other = Synthesis(dataset, SynthesisSettings(), 1), Synthesis(dataset, SynthesisSettings(), 2)
    again = Synthesis(dataset, SynthesisSettings(), 1).batch(5, 32, 4)
    for got, wanted in zip(first.batch(5, 32, 4), again, strict=True):
        assert torch.equal(got, wanted)
    assert not torch.equal(first.batch(6, 32, 4).composite, again.composite)
    assert not torch.equal(other.batch(5, 32, 4).composite, again.composite)


def test_the_scene_is_the_photograph_and_the_object_is_not(dataset):
    batch = Synthesis(dataset, SynthesisSettings(unchanged=0.0), 0).batch(0, 48, 16)
    outside = batch.mask == 0
    difference = (batch.composite - batch.real).abs()
    assert (difference * outside).max() == 0
    assert ((difference * ~outside).amax((1, 2, 3)) > 0).all()
    assert batch.composite.min() >= 0
    assert batch.composite.max() <= 1


def test_unchanged_pictures_stay_unchanged(dataset):
    batch = Synthesis(dataset, SynthesisSettings(unchanged=1.0), 0).batch(0, 48, 8)
    assert (batch.composite - batch.real).abs().max() <= 0.5 / 255 + 1e-6


def test_strength_follows_what_is_asked(dataset):
    def median_mse(goal):
        settings = SynthesisSettings(median_mse=goal, log_spread=0.1, unchanged=0.0)
        batch = Synthesis(dataset, settings, 0).batch(0, 48, 64)
        squared = (batch.composite - batch.real).square().mean(1).sum((1, 2)) * 255**2
        return float((squared / batch.mask.sum((1, 2, 3))).median())

    assert median_mse(100.0) == pytest.approx(100, rel=0.3)
    assert median_mse(1000.0) > 3 * median_mse(100.0)


@pytest.mark.parametrize("lattice", [False, True])
def test_regraded_photographs_are_the_truth_of_their_composites(dataset, lattice):
    def batch(regraded):
        settings = SynthesisSettings(scene=0.0, unchanged=1.0, smallest_crop=1.0, flip=0.0, regraded=regraded)
        return Synthesis(dataset, settings, 0, lattice=lattice).batch(0, 48, 16)

    plain, moved = batch(0.0), batch(1.0)
    assert torch.equal(plain.mask, moved.mask), "the same crops of the same photographs"
    change = (moved.real - plain.real).square().mean((1, 2, 3)) * 255**2
    assert (change > 1).sum() >= 14, "nearly all are retouched visibly"
    assert 50 < float(change.median()) < 5000
    assert (moved.composite - moved.real).abs().max() <= 0.5 / 255 + 1e-6


def test_mask_kinds_follow_their_odds(dataset):
    synthesis = Synthesis(dataset, dataclasses.replace(SynthesisSettings(), kinds=(1.0, 0.0, 0.0)), 0)
    chosen = synthesis._choose(torch.Generator().manual_seed(0), 200)
    assert {int(k) for k in dataset.kind_of[chosen.numpy()]} == {0}


def test_families_stay_in_range_and_change_something():
    g = torch.Generator().manual_seed(0)
    real = torch.rand(8, 3, 16, 16, generator=g)
    mask = torch.ones(8, 1, 16, 16)
    for made in (
        retouch(real, g, 0.22),
        look_up(real, random_lut(8, g)),
        transfer_statistics(real, mask, real.roll(1, 0), mask),
    ):
        assert torch.isfinite(made).all()
        assert made.min() >= 0
        assert made.max() <= 1
        assert (made - real).abs().mean() > 0.005


def test_a_wider_temperature_is_a_wider_spread_of_casts():
    gray = torch.full((400, 3, 2, 2), 0.4)

    def casts(temperature):
        made = retouch(gray, torch.Generator().manual_seed(0), temperature)
        return (made[:, 0] - made[:, 2])[:, 0, 0].std()

    assert casts(0.5) > 1.5 * casts(0.2)


def test_transfer_gives_the_others_mean():
    real = torch.full((1, 3, 8, 8), 0.4)
    other = torch.tensor([0.6, 0.5, 0.3]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    ones = torch.ones(1, 1, 8, 8)
    moved = transfer_statistics(real, ones, other, ones)
    torch.testing.assert_close(moved, other, atol=1e-4, rtol=0)
