"""The fast way to make composites gives nearly the same pictures as the direct way."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from glihamba_training.data.photos import PhotoDataset, photo_dataset
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.contact_sheets import foreground_mse
from glihamba_training.synthesis.crops import crop, random_crops
from glihamba_training.synthesis.settings import SynthesisSettings


@pytest.fixture
def dataset(photo_shards):
    return photo_dataset(photo_shards, "train", 144)


def test_it_makes_what_the_direct_way_makes(dataset):
    settings = SynthesisSettings(unchanged=0.0)
    direct, fast = (
        Synthesis(dataset, settings, 3, lattice=lattice).batch(1, 96, 24) for lattice in (False, True)
    )
    torch.testing.assert_close(fast.mask, direct.mask, atol=2e-3, rtol=0)
    scene = (fast.real - direct.real).square().mean((1, 2, 3)).sqrt() * 255
    assert scene.median() < 1
    assert scene.max() < 16
    inside = (fast.composite - direct.composite).square() * direct.mask
    thing = (inside.sum((1, 2, 3)) / 3 / direct.mask.sum((1, 2, 3))).sqrt() * 255
    assert thing.median() < 3
    ratio = foreground_mse(fast) / foreground_mse(direct).clamp_min(1)
    assert 0.9 < ratio.median() < 1.1


def test_the_scene_is_untouched_and_the_object_is_not(dataset):
    batch = Synthesis(dataset, SynthesisSettings(unchanged=0.0), 0, lattice=True).batch(0, 96, 12)
    outside = batch.mask == 0
    assert ((batch.composite - batch.real).abs() * outside).max() == 0
    assert (((batch.composite - batch.real).abs() * ~outside).amax((1, 2, 3)) > 0).all()
    for plane in batch:
        assert 0 <= plane.min() <= plane.max() <= 1


def test_an_identity_is_exact_but_for_rounding(dataset):
    settings = SynthesisSettings(scene=0.0, unchanged=1.0)
    batch = Synthesis(dataset, settings, 0, lattice=True).batch(0, 96, 8)
    direct = Synthesis(dataset, settings, 0).batch(0, 96, 8)
    torch.testing.assert_close(batch.real, direct.real, atol=1e-5, rtol=0)
    assert (batch.composite - batch.real).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("size", [17, 48])
def test_crops_are_torch_s(dataset, size):
    theta = random_crops(5, SynthesisSettings(), torch.Generator().manual_seed(1))
    which = np.array([4, 0, 9, 9, 2])
    grid = torch.nn.functional.affine_grid(theta, [5, 1, size, size], align_corners=False)
    raw = torch.from_numpy(dataset.photos[which]).permute(0, 3, 1, 2).float() / 255
    wanted = torch.nn.functional.grid_sample(raw, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(crop(dataset.photos, which, theta, size), wanted, atol=1e-4, rtol=0)


@pytest.mark.skipif(os.name == "nt", reason="limits on a file's size are a Unix thing")
def test_a_full_disk_costs_the_kept_code_and_not_the_pictures(tmp_path):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "import numpy as np, torch; from glihamba_training.synthesis.crops import crop\n"
        "theta = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])\n"
        "print(float(crop(np.full((1, 4, 4, 1), 255, np.uint8), np.array([0]), theta, 2).sum()))"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for name, limited in (("full", code), ("roomy", code.partition("\n")[2])):
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / name)
        done = subprocess.run(
            [sys.executable, "-c", limited], env=environment, capture_output=True, text=True
        )
        assert done.stdout == "4.0\n", done.stderr
    assert not list((tmp_path / "full").rglob("*.nbc"))
    assert list((tmp_path / "roomy").rglob("*.nbc")), "where there is room it is kept"


def test_no_step_of_the_direct_way_is_left_on_the_cpu():
    """`meta` refuses tensors of another device as a graphics card does."""
    rng = np.random.default_rng(0)
    photos, masks = (
        rng.integers(0, 255, (6, 48, 48, 3), np.uint8),
        rng.integers(0, 255, (6, 48, 48), np.uint8),
    )
    dataset = PhotoDataset(photos, masks, np.arange(6, dtype=np.int32), np.zeros(6, np.int8))
    settings = SynthesisSettings(pasted=0.5, misfit=0.5)
    batch = Synthesis(dataset, settings, 0, device="meta").batch(0, 32, 8)
    assert {plane.device.type for plane in batch} == {"meta"}
    assert [tuple(plane.shape) for plane in batch] == [(8, 3, 32, 32), (8, 1, 32, 32), (8, 3, 32, 32)]
