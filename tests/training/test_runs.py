"""Runs that are killed, fill the disk, use two processes or start from other weights."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from training_pictures import RECIPE, SMALL, iharmony4

from glihamba.errors import BadRequest
from glihamba.models import registry
from glihamba.networks import build
from glihamba_training.run.checkpoints import (
    BadCheckpoint,
    CannotSave,
    averaged_weights,
    read_checkpoint,
    recorded,
    starting_weights,
    with_silent_parts,
    write_weights,
)
from glihamba_training.run.recipe import Recipe, RecipeError
from glihamba_training.run.sources import open_source
from glihamba_training.run.train import _trainer, train
from glihamba_training.synthesis.settings import SynthesisSettings

pytestmark = pytest.mark.usefixtures("one_thread")


def written(path: Path, recipe: Recipe) -> Path:
    """The recipe as a file."""
    tables = "".join(f"{key} = {value}\n" for key, value in recipe.config.items())
    path.write_text(
        f'model = "{recipe.model}"\nsize = {recipe.size}\nbatch = {recipe.batch}\nsteps = {recipe.steps}\n'
        f"warmup = {recipe.warmup}\ncheckpoint_every = {recipe.checkpoint_every}\npictures_every = 0\n"
        f"[config]\n{tables}"
    )
    return path


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "glihamba", *map(str, words)]


def test_killed_in_the_middle_and_resumed_it_is_the_unbroken_run(photo_shards, tmp_path):
    recipe = written(tmp_path / "endless.toml", dataclasses.replace(RECIPE, steps=10**6))
    run = tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = command("train", "--recipe", recipe, "--data", photo_shards, "--run", run, "--workers", 1)
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    try:
        while not (run / "last.ckpt").exists() or read_checkpoint(run / "last.ckpt")["global_step"] < 4:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.02)
    finally:
        process.kill()  # SIGKILL: nothing is tidied up
        process.wait()
    assert process.returncode != 0
    saved = read_checkpoint(run / "last.ckpt")
    steps = saved["global_step"] + 5
    longer = dataclasses.replace(RECIPE, steps=steps)
    resumed = averaged_weights(train(longer, photo_shards, run, resume=run / "last.ckpt"))[0]
    unbroken_run = train(longer, photo_shards, tmp_path / "unbroken")
    assert same(resumed, averaged_weights(unbroken_run)[0])
    again, whole = read_checkpoint(run / "last.ckpt"), read_checkpoint(unbroken_run)
    assert same(again["current_model_state"], whole["current_model_state"])
    assert again["global_step"] == whole["global_step"] == steps, "the last step is kept, whatever its number"
    assert again["provenance"]["composites"] == whole["provenance"]["composites"] == 4 * steps
    assert again["provenance"]["seconds"] > saved["provenance"]["seconds"] > 0


def test_a_full_disk_leaves_the_last_checkpoint(photo_shards, trained, tmp_path):
    resource = pytest.importorskip("resource", reason="limits on a file's size are a Unix thing")
    last = shutil.copytree(trained.parent, tmp_path / "run") / trained.name
    size, before = last.stat().st_size, last.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        with pytest.raises(CannotSave) as raised:
            train(dataclasses.replace(RECIPE, steps=10), photo_shards, tmp_path / "run", resume=last)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(raised.value) == (
        f"The disk is full: step 8 could not be saved in {last.parent}. The checkpoint of step 6 is unharmed:"
        f" make room and go on with --resume {last}"
    )
    assert last.read_bytes() == before
    assert not list(last.parent.glob("*.part"))
    assert read_checkpoint(
        train(dataclasses.replace(RECIPE, steps=8), photo_shards, last.parent, resume=last)
    )


WATCHED = """
import json, os, sys, torch
from pathlib import Path
from glihamba_training.run import train as training
from glihamba_training.run.recipe_files import load_recipe

torch.set_num_threads(1)
seen = []

class Watched(training.HarmonizationTask):
    def training_step(self, batch, index):
        seen.append([round(float(x), 4) for x in batch.composite.mean((1, 2, 3))])
        return super().training_step(batch, index)

    def on_train_end(self):
        weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        torch.save({"weights": weights, "seen": seen}, f"{sys.argv[3]}-{os.environ['RANK']}.pt")

training.HarmonizationTask = Watched
recipe = load_recipe(sys.argv[1], synthesis={"smallest_crop": 1.0, "flip": 0.0, "area": [0.0, 1.0]})
training.train(recipe, Path(sys.argv[2]), Path(sys.argv[3]))
"""


NORMALISED = dataclasses.replace(RECIPE, model="unet", config={**SMALL, "decoder": [1, 1]})


@pytest.mark.parametrize("base", [RECIPE, NORMALISED], ids=["tiny", "with batch normalisation"])
def test_two_processes_share_every_batch_and_train_as_one_does(base, tmp_path):
    root = iharmony4(tmp_path / "data", 8)
    recipe = written(tmp_path / "r.toml", dataclasses.replace(base, steps=3))
    (tmp_path / "watched.py").write_text(WATCHED)
    run = tmp_path / "run"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [*launch, str(tmp_path / "watched.py"), str(recipe), str(root), str(run)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(f"{run}-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(first["weights"], second["weights"])
    for ours, theirs in zip(first["seen"], second["seen"], strict=True):
        assert not set(ours) & set(theirs), "both see pictures that the other does not"
    whole = dataclasses.replace(
        base,
        steps=3,
        synthesis=SynthesisSettings(smallest_crop=1.0, flip=0.0, area=(0.0, 1.0)),
    )
    alone = averaged_weights(train(whole, root, tmp_path / "alone"))[0]
    fresh = build(base.model, **base.config).state_dict()
    for name, weight in averaged_weights(run / "last.ckpt")[0].items():
        torch.testing.assert_close(weight, alone[name], atol=2e-4, rtol=1e-3)
        assert weight.shape == fresh[name].shape


def test_a_batch_that_cannot_be_shared_is_refused(photo_shards, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        RecipeError, match=r"A batch of 4 can't be shared by 3 processes: change one of them\."
    ):
        train(RECIPE, photo_shards, tmp_path)


def test_a_training_is_never_overwritten(photo_shards, trained):
    before = trained.read_bytes()
    with pytest.raises(BadRequest) as raised:
        train(RECIPE, photo_shards, trained.parent)
    assert str(raised.value) == (
        f"{trained.parent} holds a training already: go on with --resume {trained}, or name another folder."
    )
    assert trained.read_bytes() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="a graphics card here is trained on")
def test_an_apple_s_graphics_are_left_alone(photo_shards, tmp_path, monkeypatch):
    """Batches are made on the CPU, and the scan has no kernel for Apple's graphics."""
    monkeypatch.setattr("lightning.fabric.accelerators.MPSAccelerator.is_available", lambda: True)
    source, _ = open_source(photo_shards, RECIPE)
    trainer = _trainer(RECIPE, tmp_path, 1, source)
    assert isinstance(trainer.accelerator, CPUAccelerator)


def test_weights_to_start_from(photo_shards, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "home"))
    first = trained
    still = dataclasses.replace(RECIPE, steps=1, learning_rate=0.0, checkpoint_every=1)
    second = train(still, photo_shards, tmp_path / "second", start=str(first))
    assert same(averaged_weights(second)[0], averaged_weights(first)[0]), (
        "at a rate of 0 they stay what they were"
    )
    assert read_checkpoint(second)["provenance"]["started_from"] == "last.ckpt"
    shipped = registry.get("glihamba-tiny").config
    assert starting_weights("glihamba-tiny").keys() == build("glihamba-tiny", **shipped).state_dict().keys()
    alone = build("glihamba-tiny", **{**shipped, "answers": 1})  # it starts from weights of three answers
    assert with_silent_parts(alone, starting_weights("glihamba-tiny")).keys() == alone.state_dict().keys()
    with pytest.raises(BadCheckpoint) as raised:
        train(RECIPE, photo_shards, tmp_path / "third", start="glihamba-tiny")
    assert str(raised.value) == (
        "The weights of glihamba-tiny do not fit the recipe's glihamba-tiny: start from the same network,"
        " with the settings that the recipe's [config] gives it."
    )
    wider = dataclasses.replace(RECIPE, config={**SMALL, "width": 16})
    with pytest.raises(
        BadCheckpoint, match=r"The weights of .*last\.ckpt do not fit the recipe's glihamba-tiny"
    ):
        train(wider, photo_shards, tmp_path / "wider", resume=first)
    other = dataclasses.replace(RECIPE, model="unet", config={})
    with pytest.raises(BadCheckpoint, match=r"is a training of glihamba-tiny, the recipe is unet's: resume"):
        train(other, photo_shards, tmp_path / "fourth", resume=first)


def test_a_training_goes_on_from_weights_alone(photo_shards, trained, tmp_path, caplog):
    """Half-precision weights with step and recipe: with the steps, pictures and rate of the checkpoint."""
    small = tmp_path / "kept" / "small.safetensors"
    write_weights(trained, small)
    assert small.stat().st_size < trained.stat().st_size / 5
    whole, saved = read_checkpoint(trained), read_checkpoint(small)
    assert saved["global_step"] == whole["global_step"] == 6
    assert saved["hyper_parameters"]["recipe"]["seed"] == RECIPE.seed
    rounded = {name: weight.half().float() for name, weight in averaged_weights(trained)[0].items()}
    assert same(averaged_weights(small)[0], rounded)
    assert recorded(saved)["data"] == [{**data, "root": ""} for data in recorded(whole)["data"]]

    longer = dataclasses.replace(RECIPE, steps=9, learning_rate=1e-3, milestones=(7,))
    with caplog.at_level("WARNING"):
        resumed = train(longer, photo_shards, tmp_path / "resumed", resume=small)
    assert f"{small} holds no optimiser: step 6 begins with a fresh one." in caplog.text
    again = read_checkpoint(resumed)
    assert again["global_step"] == 9
    assert again["lr_schedulers"][0]["_last_lr"] == [5e-4]
    assert again["provenance"]["composites"] == 4 * 9
    assert again["provenance"]["data"] == recorded(whole)["data"], "the same pictures are noted once"
    assert not same(averaged_weights(resumed)[0], rounded)
    # What it has written resumes like any other checkpoint.
    last = train(dataclasses.replace(longer, steps=10), photo_shards, tmp_path / "resumed", resume=resumed)
    assert read_checkpoint(last)["global_step"] == 10

    still = dataclasses.replace(RECIPE, steps=1, learning_rate=0.0, checkpoint_every=1)
    started = train(still, photo_shards, tmp_path / "started", start=str(small))
    assert same(averaged_weights(started)[0], rounded)
    assert recorded(read_checkpoint(started))["started_from"] == "small.safetensors"

    bare = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(rounded, bare)
    with pytest.raises(
        BadCheckpoint, match=r"without a training's step and recipe: start from it with --from"
    ):
        train(longer, photo_shards, tmp_path / "bare", resume=bare)


def test_the_checkpoints_to_go_on_from_are_small_and_fit_their_recipe():
    folder = Path(__file__).parents[2] / "training" / "checkpoints"
    kept = folder / "glihamba-tiny.safetensors"
    saved = read_checkpoint(kept)
    network = build(saved["hyper_parameters"]["recipe"]["model"])
    network.load_state_dict(averaged_weights(kept)[0])
    assert saved["global_step"] == 11_750
    blockless = starting_weights(str(folder / "glihamba-tiny-without-blocks.safetensors"))
    network.load_state_dict(with_silent_parts(network, blockless))
    for path in folder.iterdir():
        assert path.stat().st_size < 5e6, path.name


def test_blocks_can_be_added_to_what_was_trained_without(photo_shards, tmp_path):
    bare = dataclasses.replace(RECIPE, config={**SMALL, "encoder": (0, 0, 0), "decoder": (0, 0)})
    first = train(bare, photo_shards, tmp_path / "bare")
    still = dataclasses.replace(RECIPE, steps=1, learning_rate=0.0, checkpoint_every=1)
    unmoved = train(still, photo_shards, tmp_path / "unmoved", start=str(first))
    picture, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:20, 8:20] = 1
    answers = []
    for checkpoint, recipe in ((first, bare), (unmoved, still)):
        network = build(recipe.model, **recipe.config)
        network.load_state_dict(averaged_weights(checkpoint)[0])
        with torch.no_grad():
            answers.append(network.eval()(picture, mask))
    assert (answers[0] - picture).abs().max() > 1e-4, "it has learned something"
    assert torch.equal(*answers)
    learned = train(RECIPE, photo_shards, tmp_path / "learned", start=str(first))
    silent = averaged_weights(unmoved)[0]
    moved = {
        name
        for name, value in averaged_weights(learned)[0].items()
        if ".project_out." in name and not torch.equal(value, silent[name])
    }
    assert moved == {name for name in silent if ".project_out." in name}


def test_answers_can_be_added_to_what_has_one(photo_shards, tmp_path):
    first = train(dataclasses.replace(RECIPE, steps=2), photo_shards, tmp_path / "one")
    several = dataclasses.replace(
        RECIPE, config={**RECIPE.config, "answers": 3}, loss="answers", only="head.", steps=2
    )
    weights = averaged_weights(train(several, photo_shards, tmp_path / "three", start=str(first)))[0]
    before = averaged_weights(first)[0]
    assert {name for name in weights if name not in before} == {
        f"head.others.{layer}.{kind}"
        for layer in ("mlp.0", "mlp.2", "change", "odds")
        for kind in ("weight", "bias")
    }
    moved = {name for name in before if not torch.allclose(before[name], weights[name], rtol=0, atol=1e-6)}
    assert {name.partition(".")[0] for name in moved} == {"head"}


def test_a_training_ends_by_the_clock_and_is_resumed_where_the_clock_stood(photo_shards, tmp_path):
    timed = dataclasses.replace(RECIPE, minutes=1 / 60, steps=100, milestones=(50,), checkpoint_every=1000)
    last = train(timed, photo_shards, tmp_path / "run")
    saved = read_checkpoint(last)
    assert saved["global_step"] > 0
    assert saved["provenance"]["seconds"] >= 1
    rate = saved["optimizer_states"][0]["param_groups"][0]["lr"]
    assert rate == pytest.approx(RECIPE.learning_rate * RECIPE.decay), "the end of the schedule is reached"
    again = read_checkpoint(train(timed, photo_shards, tmp_path / "run", resume=last))
    assert again["global_step"] == saved["global_step"] + 1, "no time was left"


def test_files_that_are_no_checkpoints_are_named(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(BadCheckpoint, match=r"x\.ckpt is not a checkpoint, or it is damaged: give one that"):
        read_checkpoint(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(
        BadCheckpoint, match=r"x\.ckpt is not a checkpoint of `glihamba train`: give one that"
    ):
        read_checkpoint(path)
    weights = path.with_suffix(".safetensors")
    weights.write_bytes(b"nothing of the kind")
    with pytest.raises(BadCheckpoint, match=r"x\.safetensors is not a safetensors file, or it is damaged"):
        starting_weights(str(weights))


def test_mixed_precision_trains_and_keeps_whole_weights(photo_shards, trained, tmp_path):
    last = train(dataclasses.replace(RECIPE, precision="bf16"), photo_shards, tmp_path)
    weights = averaged_weights(last)[0]
    assert {w.dtype for w in weights.values() if w.is_floating_point()} == {torch.float32}
    whole = averaged_weights(trained)[0]
    differences = [
        float((weights[n] - whole[n]).abs().max()) for n in whole if weights[n].is_floating_point()
    ]
    assert 0 < max(differences) < 0.1


def test_tensorboard_has_the_loss_and_pictures(photo_shards, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(dataclasses.replace(RECIPE, steps=50, checkpoint_every=50), photo_shards, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert "loss" in events.Tags()["scalars"]
    (tag,) = events.Tags()["images"]
    pictures = events.Images(tag)
    assert [event.step for event in pictures] == list(range(4, 49, 4))
    assert (pictures[0].width, pictures[0].height) == (4 * 32, 4 * 32)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"batch": 0}, """The recipe's "batch" must be a whole number above 0, not 0."""),
        ({"size": 32.5}, """The recipe's "size" must be a whole number above 0, not 32.5."""),
        ({"precision": "8"}, 'There is no precision "8": choose 32, bf16, 16, auto.'),
    ],
)
def test_impossible_recipes_are_refused(keys, sentence):
    with pytest.raises(RecipeError) as raised:
        dataclasses.replace(RECIPE, **keys)
    assert str(raised.value) == sentence
