"""Crops: drawn as the recipe says, counted when they are widened, and pictures as scoring resizes them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from PIL import Image
from training_pictures import iharmony4

from glihamba_training.data.iharmony4 import read_triples
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.scoring.protocols import PROTOCOLS
from glihamba_training.synthesis.crops import CropCount, draw_crops, random_crops
from glihamba_training.synthesis.pairs import Pairs, pair_dataset
from glihamba_training.synthesis.settings import SynthesisSettings


def test_crops_by_area_keep_half_to_all_of_it_at_a_fair_ratio():
    settings = SynthesisSettings(crop_area=(0.5, 1.0))
    theta = random_crops(4000, settings, torch.Generator().manual_seed(2))
    width, height = theta[:, 0, 0].abs(), theta[:, 1, 1]
    area, ratio = width * height, width / height
    assert 0.5 <= area.min() < 0.51
    assert 0.9 < area.max() <= 1
    assert 0.75 <= ratio.min() < 0.77
    assert 1.3 < ratio.max() <= 4 / 3
    inside = theta[:, :, 2].abs() + torch.stack((width, height), 1)
    assert inside.max() <= 1 + 1e-6, "no crop reaches beyond the picture"


def test_crops_that_are_widened_are_counted():
    settings = SynthesisSettings(crop_area=(0.5, 1.0), area=(0.5, 1.0))
    counted, shares = CropCount(), torch.tensor([0.4, 0.6, 0.2, 1.0])
    theta = draw_crops(4, settings, torch.Generator().manual_seed(0), lambda crops: shares, counted)
    assert (counted.drawn, counted.widened) == (4, 3)
    assert [float(t[1, 1]) == 1 for t in theta] == [True, False, True, True]
    uncropped = SynthesisSettings(smallest_crop=1.0, area=(0.5, 1.0))
    draw_crops(4, uncropped, torch.Generator(), lambda crops: shares, counted)
    assert counted.drawn == 4, "a picture that is never cropped is not widened"


def test_recipes_of_papers_that_name_crops_draw_them_by_area():
    cropping = {
        name: load_recipe(name).synthesis for name in ("glihamba", "unet", "regional", "regional-p", "frih")
    }
    assert all(s.crop_area == (0.5, 1.0) for s in cropping.values())
    assert not any(load_recipe(name).synthesis.crops for name in ("hdnet", "hdnet-lite", "gknet"))


def test_training_and_scoring_see_the_same_pixels(tmp_path):
    """Without crops, a picture of iHarmony4 is resized for training as the protocols resize it."""
    root = iharmony4(tmp_path, 4)
    for path in root.rglob("*.jpg"):
        with Image.open(path) as picture:
            noisy = np.asarray(picture) // 2 + np.random.default_rng(1).integers(
                0, 99, (90, 120, 3), np.uint8
            )
        Image.fromarray(noisy).resize((900, 700)).save(path, quality=95)
    for path in root.rglob("*.png"):
        with Image.open(path) as mask:
            mask.resize((900, 700)).save(path)
    settings = dataclasses.replace(load_recipe("hdnet").synthesis, area=(0.0, 1.0))
    pairs = Pairs(pair_dataset(root, "train", 256), settings, 0)
    batch = pairs.batch(0, 256, 4)
    trained = [pairs._picture(index) for index in range(4)]
    for place, triple in enumerate(read_triples(root, "train")):
        planes = PROTOCOLS["strict"].planes(triple)
        here = trained.index(place)
        for name in ("composite", "mask", "real"):
            torch.testing.assert_close(
                getattr(batch, name)[here], getattr(planes, name)[0], atol=1e-6, rtol=0
            )
