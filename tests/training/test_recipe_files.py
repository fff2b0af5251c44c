"""Recipes that extend others, lengths in epochs, and keys that the command line sets."""

from __future__ import annotations

import pytest

from glihamba_training.run.recipe import RecipeError
from glihamba_training.run.recipe_files import load_recipe, recipe_names


def test_a_recipe_changes_single_keys_of_the_one_it_extends(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "hdnet"\nbatch = 6\n[synthesis]\nflip = 0.5\n')
    further = tmp_path / "further.toml"
    further.write_text('extends = "mine.toml"\n[config]\nneighbours = 3\n')
    own, base = load_recipe(str(further)), load_recipe("hdnet")
    assert (own.model, own.learning_rate, own.synthesis.smallest_crop) == ("hdnet", 1e-3, 1.0)
    assert (own.synthesis.flip, dict(own.config)) == (0.5, {"neighbours": 3})
    assert own.steps == 2 * base.steps - 120  # as many epochs; 5,479 steps of 12 have room for six more
    assert own.milestones == tuple(epoch * own.steps // 120 for epoch in (100, 110))


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{base}.toml"\n')
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(str(tmp_path / "a.toml"))


def test_epochs_are_passes_over_the_composites(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'model = "hdnet"\nsize = 8\nbatch = 10\nepochs = 4\nepoch = 95\nmilestones = [1, 2.5]\ndecay = 0.1\n'
    )
    recipe = load_recipe(str(path))
    assert (recipe.steps, recipe.milestones) == (40, (10, 25))
    rescaled = load_recipe(str(path), batch=5)
    assert (rescaled.steps, rescaled.milestones) == (76, (19, 48))
    short = load_recipe(str(path), steps=7)
    assert (short.steps, short.milestones) == (7, (10, 25))
    assert load_recipe(str(path), settings=["steps=7"]).steps == 7
    assert load_recipe(str(path), settings=["epochs=1", "milestones=[0.5]"]).milestones == (5,)


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("learning_rate=3e-4", "learning_rate", 3e-4),
        (" optimiser = soap ", "optimiser", "soap"),
        ('optimiser="muon"', "optimiser", "muon"),
        ("betas=[0.8, 0.9]", "betas", (0.8, 0.9)),
        ("own_answers=true", "own_answers", True),
        ("config.neighbours=5", "config", {"neighbours": 5}),
    ],
)
def test_keys_are_set_with_their_types(setting, key, value):
    assert getattr(load_recipe("hdnet", settings=[setting]), key) == value


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("learning_rat=1", 'The recipe has an unknown key "learning_rat". Did you mean "learning_rate"?'),
        ("synthesis.flp=1", 'unknown key "synthesis.flp". Did you mean "synthesis.flip"?'),
        ("config.neighbour=1", 'unknown key "config.neighbour". Did you mean "config.neighbours"?'),
        ("confg.width=1", 'A recipe has no table "confg": its tables are config and synthesis.'),
        ("batch=1.5", 'The recipe\'s "batch" must be a whole number above 0, not 1.5.'),
        ("batch=true", 'The recipe\'s "batch" must be a whole number, not True.'),
        ("clip=much", "The recipe's \"clip\" must be a number, not 'much'."),
        ("config.width=wide", "The recipe's \"config.width\" must be a whole number, not 'wide'."),
        ("betas=[0.9]", 'The recipe\'s "betas" must be a list of 2 values, each a number, not [0.9].'),
        ("epochs=long", "The recipe's \"epochs\" must be a number, not 'long'."),
        ("steps", '"steps" is not KEY=VALUE: write, for example, learning_rate=1e-4.'),
    ],
)
def test_wrong_settings_are_named(setting, sentence):
    with pytest.raises(RecipeError) as raised:
        load_recipe("hdnet", settings=[setting])
    assert sentence in str(raised.value)


def test_every_shipped_recipe_can_be_followed():
    assert {"hdnet", "glihamba-tiny-fine"} <= set(recipe_names())
    for name in recipe_names():
        load_recipe(name)


def test_a_near_name_is_offered():
    with pytest.raises(RecipeError, match=r'There is no recipe "hdnett": .*Did you mean "hdnet"\?'):
        load_recipe("hdnett")
