"""Real training on few pictures: the loss falls, and a resumed run equals an uninterrupted one."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

import pytest
import torch

from glihamba.networks import build
from glihamba_training.data.photos import photo_dataset
from glihamba_training.losses import cautious, foreground_normalised
from glihamba_training.run.recipe import Recipe, RecipeError
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.run.train import averaged_weights, train
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.composites import Synthesis

SMALL: dict[str, Any] = {
    "size": 32,
    "batch": 8,
    "warmup": 5,
    "checkpoint_every": 10,
    "learning_rate": 2e-3,
    "ema": 0.9,
}


def test_loss_is_the_squared_error_over_the_foreground():
    real, mask = torch.zeros(2, 3, 256, 256), torch.zeros(2, 1, 256, 256)
    harmonized = real.clone()
    mask[0, :, :20, :20] = 1  # 400 pixels
    mask[1, :, :5, :5] = 1  # 25 pixels: counts as 100
    harmonized[:, :, :5, :5] = 0.2
    by_hand = (0.04 * 25 / 400 + 0.04 * 25 / 100) / 2
    assert float(foreground_normalised(harmonized, real, mask)) == pytest.approx(by_hand)
    rooted = (0.0025**0.5 + 0.01**0.5) / 2
    assert float(foreground_normalised(harmonized, real, mask, power=0.5)) == pytest.approx(rooted, rel=1e-3)


def test_what_is_worse_than_the_composite_counts_twice_in_the_cautious_loss() -> None:
    real = torch.zeros(2, 3, 8, 8)
    composite, harmonized = torch.full_like(real, 0.2), torch.zeros_like(real)
    harmonized[0], harmonized[1] = 0.1, 0.3  # better, worse
    batch = Batch(composite, torch.ones(2, 1, 8, 8), real)
    loss = cautious(harmonized, batch)
    assert float(loss) == pytest.approx((0.01 + 0.09 + (0.09 - 0.04)) / 2)


def test_training_learns_and_a_resumed_run_is_the_unbroken_one(photo_shards, tmp_path):
    recipe = Recipe(model="glihamba-tiny", steps=40, **SMALL)
    torch.set_num_threads(1)
    whole = train(recipe, photo_shards, tmp_path / "whole")
    half = train(Recipe(model="glihamba-tiny", steps=20, **SMALL), photo_shards, tmp_path / "half")
    resumed = train(recipe, photo_shards, tmp_path / "resumed", resume=half)
    weights, saved_recipe = averaged_weights(whole)
    again, _ = averaged_weights(resumed)
    assert saved_recipe["model"] == "glihamba-tiny"
    assert weights.keys() == again.keys()
    for name in weights:
        assert torch.equal(weights[name], again[name]), name

    network = build("glihamba-tiny")
    network.load_state_dict(weights)

    batch = Synthesis(photo_dataset(photo_shards, "train", 48), recipe.synthesis, 99).batch(0, 32, 64)
    with torch.no_grad():
        loss = foreground_normalised(network.eval()(batch.composite, batch.mask), batch.real, batch.mask)
    assert loss < 0.95 * foreground_normalised(batch.composite, batch.real, batch.mask)


def test_a_loss_that_is_not_a_number_stops_with_its_batch(photo_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "glihamba_training.losses.foreground_normalised", lambda *a, **k: torch.tensor(float("nan"))
    )
    with pytest.raises(
        FloatingPointError, match=r"The loss is not a number at step 0; its batch is in .*\.pt"
    ):
        train(Recipe(model="glihamba-tiny", steps=2, **SMALL), photo_shards, tmp_path)
    (saved,) = tmp_path.glob("not-finite-*.pt")
    assert set(torch.load(saved)) == {"composite", "mask", "real"}


def test_shipped_recipe_and_overrides():
    recipe = load_recipe("glihamba-tiny", steps=7, size=None)
    assert (recipe.model, recipe.steps, recipe.size) == ("glihamba-tiny", 7, 32)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'model = "a"\nsize = 8\nbatch = 1\nsteps = 1\nlearning_rat = 1',
            'unknown key "learning_rat". Did you mean "learning_rate"',
        ),
        (
            'model = "a"\nsize = 8\nbatch = 1\nsteps = 1\n[synthesis]\nlutt = 1',
            'unknown key "synthesis.lutt". Did you mean "synthesis.lut"',
        ),
        ('model = "a"', "The recipe is incomplete: .*size"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path, text, sentence):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(str(path))


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(RecipeError, match=r'There is no recipe "nope": choose .*glihamba-tiny'):
        load_recipe("nope")


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's own matter")
def test_what_a_step_frees_is_used_again_by_the_next():
    script = """
import resource, torch
from glihamba_training.run.processor import keep_freed_memory
keep_freed_memory()
for step in range(6):
    if step == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    large = [torch.zeros(10_000_000) for _ in range(3)]
    del large
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300  # pages; thousands would be read if the file were mapped again
