"""The recipe key `memory`: what the head reads of a composite is met again, and the head alone learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training_pictures import RECIPE

from glihamba.networks import build
from glihamba_training.run.checkpoints import averaged_weights
from glihamba_training.run.memory import Memory, memory_of
from glihamba_training.run.recipe import RecipeError
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.run.train import train
from glihamba_training.synthesis.batch import Batch

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "width": 8,
    "encoder": (1, 1),
    "decoder": (1,),
    "output": "transform",
    "answers": 2,
    "quantiles": True,
}


def batch(count: int, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    composite, real = torch.rand(2, count, 3, 48, 48, generator=g)
    mask = torch.zeros(count, 1, 48, 48)
    mask[..., 12:30, 8:40] = 1
    return Batch(composite, mask, real)


def some_network():
    torch.manual_seed(0)
    network = build("glihamba-tiny", **SMALL).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.02)
    return network


def test_the_network_answers_to_what_it_has_read():
    network, memory = some_network(), Memory(8, 3)
    one = batch(1)
    recalled, pictures = memory.after(network, one)
    assert pictures.composite.shape == (3, 3, 40, 40)
    with torch.no_grad():
        wanted, got = network.answers(one.composite, one.mask), recalled.answers(*pictures[:2])
    for a, b in zip(got.transforms, wanted.transforms, strict=True):
        torch.testing.assert_close(a.base, b.base.expand_as(a.base), atol=5e-3, rtol=0)
        torch.testing.assert_close(a.grid, b.grid.expand_as(a.grid), atol=5e-3, rtol=0)


def test_the_oldest_are_forgotten():
    network, memory = some_network(), Memory(4, 64)
    light = batch(3)._replace(composite=torch.ones(3, 3, 48, 48))
    memory.after(network, light)
    _, pictures = memory.after(network, batch(3, 1))
    assert memory.filled == 4
    light_ones = (pictures.composite.amin((1, 2, 3)) > 0.99).float().mean()
    assert 0 < float(light_ones) < 0.6, "one of the four is of the first batch"


def test_the_head_learns_and_nothing_else(photo_shards, tmp_path):
    config = {**RECIPE.config, **SMALL}
    recipe = dataclasses.replace(
        RECIPE, config=config, loss="answers", only="head.", memory=64, recalled=16, ema=0.0
    )
    first = dict(build(recipe.model, **config).named_parameters())
    torch.manual_seed(recipe.seed)
    started = build(recipe.model, **config).state_dict()
    trained = averaged_weights(train(recipe, photo_shards, tmp_path / "run"))[0]
    changed = {name.split(".")[1] for name in first if not torch.equal(trained[name], started[name])}
    assert {"base", "global_mlp"} <= changed
    assert all(torch.equal(trained[name], started[name]) for name in first if not name.startswith("head."))


def test_what_does_not_go_with_it_is_refused():
    with pytest.raises(RecipeError, match=r'With "memory" the head alone is trained: set only = "head\."'):
        load_recipe("glihamba-tiny", memory=100)
    recipe = load_recipe("unet", memory=100, only="head.")
    with pytest.raises(RecipeError, match="needs a head for colour transforms: unet has none"):
        memory_of(recipe, build("unet", width=8))
