"""The recipe key `own_answers`: half of a step's composites are the last step's, as the network left them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training_pictures import RECIPE

from glihamba_training.losses import left_of
from glihamba_training.run.checkpoints import averaged_weights, read_checkpoint, recorded
from glihamba_training.run.own_answers import OwnAnswers
from glihamba_training.run.recipe import RecipeError
from glihamba_training.run.sources import Loader, open_source
from glihamba_training.run.train import train
from glihamba_training.synthesis.batch import Batch

OWN = dataclasses.replace(RECIPE, own_answers=True)


pytestmark = pytest.mark.usefixtures("one_thread")


def batch(seed: int, size: int = 8) -> Batch:
    g = torch.Generator().manual_seed(seed)
    composite, real = torch.rand(2, 2, 3, size, size, generator=g)
    mask = torch.zeros(2, 1, size, size)
    mask[..., 2:6, 2:6] = 1
    return Batch(composite, mask, real)


def test_a_composite_comes_back_as_the_network_left_it_if_it_changed_it_much():
    first, second, answers = batch(0), batch(1), OwnAnswers()
    assert answers.joined(first) is first, "nothing has been answered yet"
    much, little = first.composite[:1] + 0.2 * first.mask[:1], first.composite[1:] + 0.01 * first.mask[1:]
    answers.keep(first, torch.cat((much, little)))
    joined = answers.joined(second)
    assert torch.equal(joined.composite[:2], second.composite)
    assert torch.equal(joined.composite[2], much[0].clamp(0, 1))
    assert torch.equal(joined.composite[3], first.composite[1])
    assert torch.equal(joined.real, torch.cat((second.real, first.real)))
    assert torch.equal(joined.mask, torch.cat((second.mask, first.mask)))


def test_only_the_new_composites_come_back():
    first, second, answers = batch(0), batch(1), OwnAnswers()
    answers.keep(first, first.composite)
    whole = answers.joined(second)
    answers.keep(second, whole.composite)
    assert answers.kept is not None
    assert torch.equal(answers.kept.composite, second.composite)
    assert torch.equal(answers.kept.real, second.real)


def test_pictures_of_another_size_are_dropped():
    answers = OwnAnswers()
    answers.keep(batch(0), batch(0).composite)
    larger = batch(1, 16)
    assert answers.joined(larger) is larger


def test_what_is_left_has_no_gradient_of_the_step_before():
    first, answers = batch(0), OwnAnswers()
    answers.keep(first, (first.composite + 0.3).requires_grad_())
    assert answers.kept is not None
    assert not answers.kept.composite.requires_grad
    assert torch.equal(answers.kept.composite, left_of(first.composite, first.mask, first.composite + 0.3))


def test_half_as_many_composites_are_made_and_counted(photo_shards, tmp_path):
    source, _ = open_source(photo_shards, OWN)
    assert len(next(iter(Loader(source, OWN))).mask) == OWN.batch // 2
    last = train(dataclasses.replace(OWN, steps=3), photo_shards, tmp_path)
    assert recorded(read_checkpoint(last))["composites"] == 3 * OWN.batch // 2


def test_a_resumed_run_is_the_unbroken_one(photo_shards, tmp_path):
    recipe = dataclasses.replace(OWN, steps=6)
    whole, _ = averaged_weights(train(recipe, photo_shards, tmp_path / "whole"))
    half = train(dataclasses.replace(recipe, steps=3), photo_shards, tmp_path / "half")
    again, _ = averaged_weights(train(recipe, photo_shards, tmp_path / "again", resume=half))
    for name, weights in whole.items():
        assert torch.equal(weights, again[name]), name
    plain, _ = averaged_weights(train(dataclasses.replace(RECIPE, steps=6), photo_shards, tmp_path / "plain"))
    assert not all(torch.equal(weights, plain[name]) for name, weights in whole.items())


def test_an_odd_batch_has_no_halves():
    with pytest.raises(RecipeError) as raised:
        dataclasses.replace(OWN, batch=5)
    assert str(raised.value) == 'With "own_answers" a batch is two halves: 5 is not even.'
