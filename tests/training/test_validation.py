"""Trainings that are scored while they run, and what they are told on the command line."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from training_pictures import RECIPE, iharmony4

from glihamba.cli import cli
from glihamba.networks import build
from glihamba_training.data.iharmony4 import entries
from glihamba_training.run.checkpoints import averaged_weights, read_checkpoint, recorded
from glihamba_training.run.sources import open_source
from glihamba_training.run.train import train
from glihamba_training.run.validation import held_out, validation_triples
from glihamba_training.scoring.protocols import PROTOCOLS
from glihamba_training.synthesis.pairs import Pairs

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_training_is_scored_on_pictures_that_it_never_sees(tmp_path):
    """The best weights are kept, and every tenth step's; metrics.csv has a line for each logged step."""
    root = iharmony4(tmp_path / "data", 120)
    listed = entries(root, "train")
    apart = held_out(listed)
    assert 0 < len(apart) < 30
    assert {entry.real for entry in apart}.isdisjoint({e.real for e in listed if e not in apart})
    recipe = dataclasses.replace(
        RECIPE, steps=6, validate_every=2, validation=2, keep_every=3, log_every=1, checkpoint_every=4
    )
    source, described = open_source(root, recipe)
    assert isinstance(source, Pairs)
    assert {listed[place].name for place in source.drawn} == {e.name for e in listed} - {
        e.name for e in apart
    }
    assert described["composites"] == 120 - len(apart)
    assert {t.name for t in validation_triples(root, recipe)} <= {entry.name for entry in apart}

    run = tmp_path / "run"
    train(recipe, root, run)
    lines = read_metrics(run)
    trained = [line for line in lines if line["loss"]]
    assert [int(line["step"]) for line in trained] == list(range(6))
    assert all(line["epochs"] and line["widened"] for line in trained)
    scored = {int(line["step"]): float(line["val_psnr"]) for line in lines if line["val_psnr"]}
    assert list(scored) == [1, 3, 5]
    assert {path.name for path in run.glob("*.ckpt")} == {"last.ckpt", "best.ckpt"} | {
        f"step={step:07d}.ckpt" for step in (3, 6)
    }
    best = max(scored, key=scored.__getitem__)
    assert read_checkpoint(run / "best.ckpt")["global_step"] == best + 1
    network = build(recipe.model, **recipe.config)
    network.load_state_dict(averaged_weights(run / "best.ckpt")[0])
    pictures = validation_triples(root, recipe)
    mean = sum(PROTOCOLS["strict"](t, network.eval()).psnr for t in pictures) / len(pictures)
    assert scored[best] == pytest.approx(mean, abs=1e-3)
    assert recorded(read_checkpoint(run / "last.ckpt"))["crops"] >= 6 * recipe.batch


def test_a_copy_s_own_list_is_what_it_is_validated_on(tmp_path):
    root = iharmony4(tmp_path / "data", 8)
    names = [entry.line for entry in entries(root, "train")]
    (root / "IHD_val.txt").write_text("\n".join(names[6:]))
    (root / "IHD_train.txt").write_text("\n".join(names[:6]))
    recipe = dataclasses.replace(RECIPE, validate_every=2)
    source, _ = open_source(root, recipe)
    assert isinstance(source, Pairs)
    assert len(source.drawn) == 6
    assert [Path(names[6]).stem, Path(names[7]).stem] == [t.name for t in validation_triples(root, recipe)]


def test_photographs_that_are_held_out_validate(photo_shards, tmp_path):
    recipe = dataclasses.replace(RECIPE, validate_every=3, validation=2)
    train(recipe, photo_shards, tmp_path / "run")
    assert [bool(line["val_fmse"]) for line in read_metrics(tmp_path / "run")].count(True) == 2


def read_metrics(run: Path) -> list[dict[str, str]]:
    with (run / "log" / "version_0" / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_command_sets_keys_and_says_what_another_batch_does(tmp_path, photo_shards):
    small = ("size=32", "config.width=4", "epoch=20", "epochs=1", "pictures_every=0")
    words = ["train", "--recipe", "hdnet", "--data", photo_shards, "--run", tmp_path / "run"]
    words += [word for setting in small for word in ("--set", setting)]
    run = CliRunner().invoke
    done = run(cli, [*map(str, words), "--batch", "4", "--seed", "7"])
    assert done.exit_code == 0, done.output
    assert (
        "A batch of 4 instead of 12: 5 instead of 657,480 steps, 1.00 instead of 120.01 epochs."
        in done.stderr
    )
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (recipe["steps"], recipe["seed"], recipe["config"]) == (5, 7, {"width": 4})
    assert len([line for line in read_metrics(tmp_path / "run") if line["loss"]]) == 1

    refused = run(cli, [*map(str, words), "--set", "learning_rat=1"])
    assert 'Did you mean "learning_rate"?' in str(refused.exception)
