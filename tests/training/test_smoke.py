"""Every network's own recipe, narrowed and shortened: 10 or 50 steps on the CPU, and its loss falls.

Widths, size, batch and length are cut down here; loss, optimiser, rate and schedule are the recipe's,
except where `SOON` says otherwise.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from glihamba.models import loading, store
from glihamba.networks import build, class_of, names
from glihamba.networks.base import Harmonizer
from glihamba_training.data.photos import photo_dataset
from glihamba_training.losses import LOSSES, foreground_normalised, two_stages
from glihamba_training.run.checkpoints import read_checkpoint, recorded
from glihamba_training.run.export import export
from glihamba_training.run.recipe import Recipe, RecipeError
from glihamba_training.run.recipe_files import load_recipe, recipe_names
from glihamba_training.run.train import train
from glihamba_training.synthesis.composites import Synthesis

GLIHAMBA = {"width": 8, "encoder": [1, 1, 1], "decoder": [1, 1], "state_dimension": 2}
SMOKE = {
    "glihamba": GLIHAMBA,
    "glihamba-small": {"width": 8, "encoder": [1, 1, 1], "state_dimension": 1},
    "glihamba-tiny": {"width": 8, "encoder": [1, 1, 1]},
    "glihamba-cells": {"width": 32, "blocks": 1, "hidden": 128},
    "unet": {"width": 8},
    "unet-vss": GLIHAMBA,
    "gknet": {"width": 8, "levels": 3, "layers": 1, "heads": 4},
    "hdnet": {"width": 6},
    "hdnet-lite": {"width": 6},
    "regional": {"width": 8},
    "regional-p": {"width": 16, "widest": 64},
    "frih": {"base": [4, 8, 16, 16], "cascaded": [4, 4, 8, 8], "fusion": 4, "submasks": 4},
}
LONG = {"gknet", "hdnet", "hdnet-lite", "glihamba-tiny", "glihamba-cells"}  # 50 steps; others 10
# Recipes that need longer to lower the loss: a long warm-up with slow averages, a small rate.
SOON: dict[str, dict[str, Any]] = {
    "glihamba-small": {"warmup": 5, "ema": 0.9, "learning_rate": 2e-3},
    "glihamba-tiny": {"warmup": 5, "ema": 0.9, "learning_rate": 4e-3},
    # Without the families that need more than a folder of photographs.
    "glihamba-cells": {"batch": 12, "warmup": 5, "ema": 0.9, "synthesis": {"darker": 0.0}},
    "gknet": {"learning_rate": 1e-3},
}
RECIPES = [name for name in recipe_names() if "/" not in name]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", SMOKE)
def test_a_few_steps_of_every_recipe_lower_its_loss(name, photo_shards, tmp_path, monkeypatch):
    steps = 50 if name in LONG else 10
    cut = {"size": 32, "batch": 4, "steps": steps, "checkpoint_every": steps, "config": SMOKE[name]}
    recipe = load_recipe(name, **{**cut, **SOON.get(name, {})})
    batch = Synthesis(photo_dataset(photo_shards, "train", 48), recipe.synthesis, 99).batch(0, 32, 64)

    def loss(network):
        with torch.no_grad():
            return float(LOSSES[recipe.loss](network.eval(), batch, recipe)[0])

    torch.manual_seed(recipe.seed)
    before = loss(build(recipe.model, **recipe.config))
    checkpoint = train(recipe, photo_shards, tmp_path / "run")

    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    record = export(
        checkpoint,
        tmp_path / "out",
        name=f"smoke-{name}",
        title="Smoke",
        description="Made by a test.",
        licence="MIT",
        training_data="Pictures made by a test,",
        scored_on={},
    )
    store.add(tmp_path / "out" / f"smoke-{name}.safetensors")
    network = loading.load(f"smoke-{name}")
    assert record.paper == network.paper
    assert record.config == dataclasses.asdict(network.config)
    starts_at_the_composite = recipe.model in ("glihamba-small", "glihamba-tiny", "glihamba-cells")
    most = {50: 0.95, 10: 0.99} if starts_at_the_composite else {50: 0.8, 10: 0.95}
    assert loss(network) < most[steps] * before


def test_every_network_has_a_recipe_named_as_it_is():
    shipped = {name: load_recipe(name) for name in RECIPES}
    trainable = {name for name in names() if class_of(name).trainable}
    assert set(SMOKE) == {recipe.model for recipe in shipped.values()} == trainable
    assert all(
        recipe.model == name.removesuffix("-fine").removesuffix("-clean").removesuffix("-head")
        for name, recipe in shipped.items()
    )


def test_the_fine_recipe_goes_on_from_the_coarse_one_s_checkpoint(photo_shards, tmp_path):
    cut: dict[str, Any] = {"batch": 2, "checkpoint_every": 2, "config": SMOKE["glihamba-tiny"]}
    coarse = load_recipe("glihamba-tiny", **cut, steps=2)
    fine = load_recipe("glihamba-tiny-fine", **{**cut, "steps": 3})
    assert fine.size > coarse.size
    assert fine.learning_rate <= coarse.learning_rate
    first = train(coarse, photo_shards, tmp_path / "coarse")
    second = train(fine, photo_shards, tmp_path / "fine", start=str(first))
    saved = read_checkpoint(second)
    assert saved["global_step"] == 3
    assert recorded(saved)["started_from"] == first.name


@pytest.mark.parametrize(
    ("name", "batch", "epochs", "rate", "drops", "decay"),
    [
        ("glihamba", 16, 200, 1e-3, [80, 120], 0.5),
        ("gknet", 16, 120, 1e-4, [], 0.5),
        ("hdnet", 12, 120, 1e-3, [100, 110], 0.1),
        ("hdnet-lite", 12, 120, 1e-3, [100, 110], 0.1),
        ("regional", 4, 140, 1e-3, [120], 0.1),
        ("regional-p", 4, 140, 1e-3, [120], 0.1),
        ("frih", 128, 180, 8e-3, [160, 175], 0.1),
    ],
)
def test_recipes_say_what_the_papers_say(name, batch, epochs, rate, drops, decay):
    recipe = load_recipe(name)
    epoch = -(-65_742 // batch)
    assert (recipe.size, recipe.batch, recipe.steps) == (256, batch, epochs * epoch)
    assert recipe.milestones == tuple(drop * epoch for drop in drops)
    assert (recipe.learning_rate, recipe.decay, recipe.betas) == (rate, decay, (0.9, 0.999))
    assert (recipe.warmup, recipe.ema, recipe.clip, recipe.smallest_area) == (0, 0, 0, 100)


def test_refining_trains_on_what_the_network_has_left_of_strong_casts(photo_shards):
    """A network that changes every object, so that objects it changes enough come back with the change."""
    recipe = load_recipe("glihamba-tiny-fine")
    batch = Synthesis(photo_dataset(photo_shards, "train", 48), recipe.synthesis, 3).batch(0, 32, 4)

    class Adding(Harmonizer):
        def __init__(self, amount):
            super().__init__()
            self.amount, self.met = amount, []

        def forward(self, composite, mask):
            self.met.append(composite)
            return composite + self.amount * mask

    adds_much, adds_little = Adding(0.1), Adding(0.01)
    loss, harmonized = LOSSES["refining"](adds_much, batch, recipe)
    first, then = adds_much.met
    assert torch.equal(first, batch.composite[:2])
    assert torch.equal(then[2:], batch.composite[2:])
    torch.testing.assert_close(then[:2], (first + 0.1 * batch.mask[:2]).clamp(0, 1))
    torch.testing.assert_close(harmonized, then + 0.1 * batch.mask)
    assert loss == foreground_normalised(harmonized, batch.real, batch.mask, power=recipe.loss_power)
    LOSSES["refining"](adds_little, batch, recipe)
    assert torch.equal(adds_little.met[1], batch.composite), "nothing was moved far"


def test_frih_s_loss_is_equations_6_to_8():
    """Two pictures; the second's object has two submasks, one of them smaller than A_min."""
    from glihamba.networks.frih import Stages

    real, mask = torch.zeros(2, 3, 256, 256), torch.zeros(2, 1, 256, 256)
    mask[0, 0, :20, :20] = 1  # 400 pixels
    mask[1, 0, :20, :10] = 1  # 200, of which 25 form a submask
    small = torch.zeros(256, 256)
    small[:5, :5] = 1
    coarse, final = real.clone(), real.clone()
    coarse[:, :, :5, :5] = 0.2
    final[:, :, :5, :5] = 0.1
    final[:, :, 10:12, :5] = 0.3
    stages = Stages(coarse, final, [mask[0], torch.stack((small, mask[1, 0] - small))])
    eq7 = (0.04 * 25 / 400 + 0.04 * 25 / 200) / 2
    eq8 = ((0.01 * 25 + 0.09 * 10) / 400 + (0.01 * 25 / 100 + 0.09 * 10 / 175)) / 2
    assert float(two_stages(stages, real, mask)) == pytest.approx(eq7 + eq8)
    whole = Stages(final, final, [mask[0], mask[1]])
    twice = 2 * foreground_normalised(final, real, mask)
    assert float(two_stages(whole, real, mask)) == pytest.approx(float(twice)), "K = 1: both stages alike"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"config": {"widht": 8}},
            'The recipe has an unknown key "config.widht". Did you mean "config.width"?',
        ),
        (
            {"loss": "foregound"},
            (
                'There is no loss "foregound": choose foreground or logarithmic or cautious or refining'
                " or answers or two-stages."
            ),
        ),
        ({"model": "statistics"}, "There are no weights to train in statistics: choose another network."),
        ({"loss": "two-stages"}, 'The loss "two-stages" is only for frih: choose "foreground" for hdnet.'),
        (
            {"smallest_aera": 1.0},
            'The recipe has an unknown key "smallest_aera". Did you mean "smallest_area"?',
        ),
    ],
)
def test_wrong_keys_are_named(keys, sentence):
    with pytest.raises(RecipeError) as raised:
        load_recipe("hdnet", **keys)
    assert str(raised.value) == sentence


def test_settings_for_an_unknown_network_are_refused_with_the_known_names():
    with pytest.raises(RecipeError, match=r'No network is called "hdent": choose one of .*glihamba, '):
        Recipe(model="hdent", size=32, batch=1, steps=1, config={"width": 8})


def test_flips_are_the_recipe_s_to_choose(photo_shards):
    dataset = photo_dataset(photo_shards, "train", 48)
    plain = load_recipe("hdnet").synthesis
    mirrored = dataclasses.replace(plain, flip=1.0)
    batches = [Synthesis(dataset, s, 5).batch(0, 32, 6) for s in (plain, mirrored)]
    torch.testing.assert_close(batches[0].real, batches[1].real.flip(3), atol=2e-3, rtol=0)
