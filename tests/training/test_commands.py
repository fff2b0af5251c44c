"""The commands of training as a person runs them: their output, and one sentence for each failure."""

from __future__ import annotations

import json
import logging
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from training_pictures import cut_short, iharmony4, photographs

from glihamba.cli import cli, main
from glihamba.models import registry, store
from glihamba.networks import class_of, names
from glihamba_training.run.recipe_files import load_recipe

RECIPE = """
model = "glihamba-tiny"
size = 32
batch = 4
steps = 3
warmup = 1
pictures_every = 0
[config]
width = 8
encoder = [1, 1, 1]
"""


@pytest.fixture
def glihamba(capsys, monkeypatch, tmp_path):
    """Run a command line. Returns its status, its output and the last line of standard error."""
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    # `leave` would end the whole process if a daemon of an earlier test has left a thread.
    monkeypatch.setattr("glihamba.cli.leave", sys.exit)
    (tmp_path / "r.toml").write_text(RECIPE)

    def run(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = capsys.readouterr()
        lines = said.err.strip().splitlines()
        return left.value.code or 0, said.out, lines[-1] if lines else ""

    return run


def test_train_on_iharmony4_then_export_says_what_it_was(glihamba, tmp_path):
    root = iharmony4(iharmony4(tmp_path / "copy"), 2, "test")
    status, out, _ = glihamba("train", "--recipe", "r.toml", "--data", root, "--run", "run")
    assert (status, out.splitlines()[-1]) == (0, "Trained: run/last.ckpt")
    status, out, _ = glihamba("export", "run/last.ckpt", "--name", "mine", "-o", "weights", "--json")
    record = json.loads(out)
    assert status == 0
    assert record["licence"] == "as the training pictures' licences allow: iHarmony4's"
    assert record["training_data"].startswith("iHarmony4's 6 training composites. 0.0 hours on ")
    assert (
        ": 12 composites seen, the last of 32 x 32 pixels. mine was trained on 2 of these 2"
        in (record["training_data"])
    ), "the made list of test pictures is the training list's beginning"
    assert {"strict, copy", "fullres, copy"} == set(record["metrics"]), "what its training data holds out"
    store.add(tmp_path / "weights" / "mine.safetensors")
    assert registry.get("mine").training_data == record["training_data"]


def test_train_from_photographs_and_fine_tune(glihamba, tmp_path, photo_shards):
    words = ("--data", photo_shards, "--steps", 2, "--json")
    assert glihamba("train", "r.toml", *words, "--run", "run")[0] == 0
    status, out, _ = glihamba(
        "train", "r.toml", *words, "--run", "more", "--from", "run/last.ckpt", "--batch", 2
    )
    assert (status, json.loads(out[out.index("{") :])) == (0, {"checkpoint": "more/last.ckpt"})
    status, out, _ = glihamba(
        "export", "more/last.ckpt", "--name", "more", "-o", "weights", "--json", "--count", 2
    )
    record = json.loads(out)
    assert record["licence"] == "as the training pictures' licences allow: made here"
    assert record["training_data"].startswith(
        "24 photographs (licences: 24 made here), recoloured at random."
        " Started from the weights of last.ckpt. "
    )
    assert record["training_data"].endswith(": 4 composites seen, the last of 32 x 32 pixels.")
    assert len(record["metrics"]) == 2
    status, out, _ = glihamba(
        "export", "more/last.ckpt", "--name", "said", "-o", "weights", "--json", "--data", photo_shards,
        "--licence", "MIT", "--training-data", "My own photographs,", "--count", 1,
    )  # fmt: skip
    record = json.loads(out)
    assert (record["licence"], record["training_data"]) == (
        "MIT",
        "My own photographs, 4 composites, the last of 32 x 32 pixels.",
    )


def trained(glihamba, *words):
    """Train two steps with the recipe. Returns the run's checkpoint."""
    assert glihamba("train", "r.toml", "--steps", 2, *words)[0] == 0
    return f"{words[words.index('--run') + 1]}/last.ckpt"


def exported(glihamba, checkpoint, name, *words):
    """The record, and the last line on standard error."""
    status, out, said = glihamba("export", checkpoint, "--name", name, "-o", "weights", "--json", *words)
    assert status == 0, said
    return json.loads(out), said


def test_the_licence_of_the_weights_it_starts_from_goes_along(glihamba, tmp_path, photo_shards):
    """Start from a model, from a file and from a checkpoint, and start again from the result."""
    research = exported(
        glihamba, trained(glihamba, "--data", photo_shards, "--run", "a"), "research",
        "--licence", "Research only", "--count", 1,
    )[0]  # fmt: skip
    store.add(tmp_path / "weights" / "research.safetensors")
    free = photographs(tmp_path / "free")
    (free / "manifest.csv").write_text("name,licence\n" + "".join(f"p{i},CC0\n" for i in range(8)))
    on_free = ("--data", free, "--run")
    file = Path("weights", "research.safetensors")
    for run, start in (("model", "research"), ("file", file)):
        checkpoint = trained(glihamba, *on_free, run, "--from", start)
        record, _ = exported(glihamba, checkpoint, f"from-{run}", "--count", 1)
        assert record["licence"] == (
            "as these licences allow: of the training pictures (CC0); of the weights of"
            f" {Path(start).name} (Research only)"
        )
    again = trained(glihamba, *on_free, "again", "--from", checkpoint)
    assert exported(glihamba, again, "again", "--count", 1)[0]["licence"] == record["licence"]

    # The checkpoint's own pictures are scored, whatever its record says of them.
    tuned = trained(glihamba, *on_free, "tuned", "--from", "a/last.ckpt")
    record, _ = exported(glihamba, tuned, "tuned", "--count", 1)
    assert record["licence"] == "as the training pictures' licences allow: made here, CC0"
    assert record["training_data"].startswith(
        "24 photographs (licences: 24 made here), recoloured at random."
    )
    assert research["licence"] == "Research only"


def test_a_small_checkpoint_is_exported_and_gone_on_from(glihamba, tmp_path, photo_shards, trained):
    status, out, _ = glihamba("export", trained, "--name", "small", "-o", "kept", "--checkpoint")
    assert (status, out) == (0, f"Written: {Path('kept', 'small.safetensors')}\n")
    words = ("--data", photo_shards, "--json", "--steps")
    assert glihamba("train", "r.toml", *words, 8, "--run", "on", "--resume", "kept/small.safetensors")[0] == 0
    assert glihamba("train", "r.toml", *words, 1, "--run", "anew", "--from", "kept/small.safetensors")[0] == 0
    record, _ = exported(glihamba, "on/last.ckpt", "on", "--count", 1)
    assert record["licence"] == "as the training pictures' licences allow: made here"
    assert record["training_data"].endswith(": 32 composites seen, the last of 32 x 32 pixels.")
    # The file is a checkpoint, so a model can be made of it. The folder of its training data is gone.
    record, said = exported(glihamba, "kept/small.safetensors", "model")
    assert (record["metrics"], said) == ({}, "")
    status, _, said = glihamba("export", trained, "--name", "x", "-o", "kept", "--checkpoint", "--half")
    assert (status, said) == (2, "Error: --checkpoint takes --name and --output only.")


def test_pictures_without_a_licence_are_said_to_have_none(glihamba, tmp_path):
    root = photographs(tmp_path / "photos")
    (root / "manifest.csv").write_text("name,licence\np1,CC0\n")
    record, _ = exported(glihamba, trained(glihamba, "--data", root, "--run", "run"), "some")
    assert record["licence"] == "as the training pictures' licences allow: CC0, not stated"
    (root / "manifest.csv").unlink()
    record, _ = exported(glihamba, trained(glihamba, "--data", root, "--run", "more"), "none")
    assert record["licence"] == "not stated"


def test_a_model_of_pictures_without_masks_is_exported_without_scores(glihamba, tmp_path):
    root = photographs(tmp_path / "bare", 45)
    for path in root.glob("*.mask0.png"):
        path.unlink()
    checkpoint = trained(glihamba, "--data", root, "--run", "run")
    record, said = exported(glihamba, checkpoint, "bare")
    assert record["metrics"] == {}
    assert said == (
        f"Not scored: {root} has no masks of whole objects, and only those are a measure: put NAME.mask0.png"
        " beside NAME.jpg."
    )
    root.rename(tmp_path / "elsewhere")
    record, said = exported(glihamba, checkpoint, "moved")
    assert record["metrics"] == {}
    assert said.startswith(f"Not scored: {root} holds no photographs to use as val")


def test_export_scores_as_many_pictures_as_it_is_told(glihamba, tmp_path):
    root = iharmony4(iharmony4(tmp_path / "copy"), 4, "test")
    checkpoint = trained(glihamba, "--data", root, "--run", "run")
    whole, _ = exported(glihamba, checkpoint, "whole", "--count", 4)
    assert set(whole["metrics"]) == {"strict, copy", "fullres, copy"}
    assert exported(glihamba, checkpoint, "all")[0]["metrics"] == whole["metrics"]
    few, _ = exported(glihamba, checkpoint, "few", "--count", 2)
    assert set(few["metrics"]) == {"strict, the first 2 of copy", "fullres, the first 2 of copy"}
    assert few["metrics"]["strict, the first 2 of copy"] != whole["metrics"]["strict, copy"]
    other = iharmony4(tmp_path / "other" / "copy", 2, "test")
    status, _, said = glihamba(
        "export", checkpoint, "--name", "two", "-o", "weights", "--data", root, "--data", other
    )
    assert status == 1
    assert said == (
        "Error: Two of the folders to score on are called copy, and the record would keep only one: rename a"
        " folder, or name others with --data."
    )


def test_what_is_wrong_with_a_training_is_one_sentence(glihamba, tmp_path, monkeypatch):
    root = iharmony4(tmp_path / "copy")

    def told(*words):
        status, _, said = glihamba("train", *words, "--run", tmp_path / "run")
        assert status in (1, 2)
        return said.removeprefix("Error: ")

    assert told("--data", root) == "Name one recipe: glihamba train --recipe NAME."
    assert told("hdnet", "--recipe", "r.toml", "--data", root).startswith("Name one recipe")
    assert "does not exist" in told("r.toml", "--data", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert told("r.toml", "--data", tmp_path / "empty") == (
        f"{tmp_path / 'empty'} holds no photographs to use as train: give a folder of JPEG or PNG files,"
        " or of train*.tar."
    )
    (tmp_path / "r.toml").write_text(RECIPE.replace("warmup", "warmpu"))
    assert told("r.toml", "--data", root) == 'The recipe has an unknown key "warmpu". Did you mean "warmup"?'
    (tmp_path / "r.toml").write_text("model =")
    assert told("r.toml", "--data", root).startswith(
        "The recipe r.toml is not a TOML file: Invalid value (at "
    )
    (tmp_path / "r.toml").write_text("# für uns\n", "latin-1")
    assert told("r.toml", "--data", root) == (
        "The recipe r.toml is not a text in UTF-8: save it again as that."
    )
    assert told("typo.toml", "--data", root) == (
        "The recipe typo.toml cannot be read: No such file or directory."
    )
    (tmp_path / "r.toml").write_text(RECIPE)
    assert told("r.toml", "--data", root, "--from", "nonsuch").startswith(
        "There is no model called “nonsuch”."
    )
    cut_short(root / "HFlickr/composite_images/f0_1_1.jpg")
    assert told("r.toml", "--data", root) == (
        "HFlickr/composite_images/f0_1_1.jpg is cut short or not a picture: replace it or take it out."
    )
    (root / "IHD_train.txt").rename(root / "IHD_test.txt")
    assert told("r.toml", "--data", root) == f"{root} is not a copy of iHarmony4: IHD_train.txt is missing."
    monkeypatch.setattr("glihamba_training.losses.foreground_normalised", lambda *a, **k: nan())
    said = told("r.toml", "--data", photographs(tmp_path / "photos"))
    assert said.startswith("The loss is not a number at step 0; its batch is in ")
    assert said.endswith(
        "Lower the recipe's learning_rate, or clip its gradient, and go on from the last checkpoint."
    )


def nan():
    import torch

    return torch.tensor(float("nan"))


def test_the_development_sets_are_of_the_project_s_photographs_alone(glihamba, photo_shards):
    words = ("evaluate", "--development", "--data", photo_shards, "--model", "statistics")
    status, _, said = glihamba(*words, "--pasted")
    assert (status, said) == (
        1,
        "Error: --development has its own pictures and protocol: it goes with --model, --csv, --json.",
    )
    status, _, said = glihamba(*words)
    assert status == 1
    assert said.startswith("Error: iharmony4_train_few/")
    assert "is neither in" in said


def test_check_ends_with_its_verdict(glihamba, tmp_path):
    root = photographs(tmp_path / "photos", 3)
    status, out, _ = glihamba("data", "check", root)
    assert (status, out.splitlines()[-1]) == (0, "Nothing is wrong.")
    Image.new("L", (3, 4), 255).save(root / "p1.mask0.png")
    status, out, _ = glihamba("data", "check", root)
    sentence = f"{root / 'p1.mask0.png'} is 3 x 4 pixels and its photograph 120 x 90: give both one size."
    assert (status, out.splitlines()[-2:]) == (1, [sentence, "1 problems."])
    status, out, _ = glihamba("data", "check", root, "--json")
    assert json.loads(out)["problems"] == [sentence]
    status, out, _ = glihamba("data", "check", iharmony4(tmp_path / "copy"))
    assert status == 1
    assert "IHD_test.txt is missing, with its 7,404 composites." in out
    (tmp_path / "empty").mkdir()
    status, _, said = glihamba("data", "check", tmp_path / "empty")
    assert (status, "holds neither iHarmony4" in said) == (1, True)


def test_view_writes_a_sheet(glihamba, tmp_path, photo_shards, caplog):
    with caplog.at_level(logging.WARNING):
        status, out, _ = glihamba(
            "data", "view", photo_shards, "--recipe", "r.toml", "--count", 7, "-o", "seen.png"
        )
    assert status == 0
    assert out.startswith("Written: seen.png. Quartiles of the foreground MSE, least to greatest: ")
    with Image.open(tmp_path / "seen.png") as sheet:
        assert sheet.size == (3 * (3 * 96 + 18) + 6, 3 * (96 + 22) + 6)
    status, _, said = glihamba("data", "view", photo_shards, "-o", "seen.jpg")
    assert (status, said) == (1, "Error: seen.jpg is not a .png file: name one for the sheet.")
    status, _, said = glihamba("data", "view", tmp_path, "-o", "no/x.png")  # nothing there could be decoded
    assert (status, said) == (1, "Error: no/x.png cannot be written: make the folder no first.")


def test_bench_data_measures_every_size(glihamba, tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *args, **kwargs: tmp_path / "cache")
    status, out, _ = glihamba("bench", "data", "--size", 16, "--size", 80, "--runs", 1, "--json")
    assert status == 0
    rows = json.loads(out)["results"]
    assert [row["pictures"] for row in rows] == ["16 x 16", "80 x 80"]
    assert all(row["samples_a_second"] > 0 for row in rows)
    assert not (tmp_path / "cache").exists(), "what was made for it goes with it"


def test_the_readme_s_commands_are_real_and_train_every_network():
    text = (Path(__file__).parents[2] / "training" / "README.md").read_text("utf-8")
    lines = re.findall(r"(?:^|`)(glihamba [a-z].*?)(?: *#.*)?(?:`|$)", text, re.M)
    trained = set()
    for line in lines:
        command: Any = cli
        words = shlex.split(line)[1:]
        while hasattr(command, "get_command"):
            command = command.get_command(None, words.pop(0))
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line
        if "--recipe" in words:
            trained.add(load_recipe(words[words.index("--recipe") + 1]).model)
    assert trained | {"glihamba-small"} == {name for name in names() if class_of(name).trainable}
