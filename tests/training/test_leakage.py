"""Pictures that a model was trained on are found among those it is scored on, by name or by content."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training_pictures import RECIPE, iharmony4, photographs

from glihamba.cli import cli
from glihamba.models import store
from glihamba_training.data.check import check_data
from glihamba_training.data.fingerprints import Seen, Watch, hashes_of, perceptual_hash
from glihamba_training.run.checkpoints import read_checkpoint, recorded, seen_records
from glihamba_training.run.export import export
from glihamba_training.run.train import train
from glihamba_training.scoring.evaluate import load_models, triples_of


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path_factory.mktemp("home")))
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained_on_pairs(tmp_path_factory):
    """A copy of iHarmony4 that is trained on, and the last checkpoint."""
    root = with_texture(iharmony4(tmp_path_factory.mktemp("pairs"), 6))
    recipe = dataclasses.replace(RECIPE, steps=2, pictures_every=0)
    return root, train(recipe, root, tmp_path_factory.mktemp("run") / "run")


def textured(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((320, 240), Image.Resampling.BICUBIC))


def with_texture(root: Path) -> Path:
    """The copy of iHarmony4 with pictures that can be told apart: f0 is textured(0), and so on."""
    for path in [*root.rglob("f*.jpg"), *root.rglob("p*.jpg")]:
        number = int("".join(c for c in path.stem.split("_")[0] if c.isdigit()))
        Image.fromarray(textured(number)).resize((120, 90)).save(path, quality=95)
    return root


def test_the_hash_knows_a_picture_at_another_size_and_no_other_picture():
    codes = [perceptual_hash(textured(seed)) for seed in range(30)]
    seen = Seen(hashes=np.array(codes[:15], np.uint64))
    for seed in range(15):
        image = Image.fromarray(textured(seed))
        for other in (image.resize((64, 64)), image.point(lambda level: min(255, level * 1.2))):
            assert seen.near(perceptual_hash(np.asarray(other))), seed
    assert not any(seen.near(code) for code in codes[15:])
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert not Seen(hashes=np.array([perceptual_hash(flat)], np.uint64)).near(perceptual_hash(flat))
    again = Seen.of_records([json.loads(json.dumps(seen.to_record()))])
    assert (again.hashes == seen.hashes).all()


def test_hashes_of_a_file_are_kept(tmp_path):
    pictures = np.stack([textured(seed) for seed in range(3)])
    np.save(tmp_path / "p.npy", pictures)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    codes = hashes_of(mapped, tmp_path / "cache")
    assert (codes == hashes_of(pictures)).all()
    assert (codes == hashes_of(mapped, tmp_path / "cache")).all()
    assert len(list((tmp_path / "cache").glob("hashes-*.npy"))) == 1


def test_a_run_records_what_it_was_trained_on(trained_on_pairs):
    _, checkpoint = trained_on_pairs
    (record,) = recorded(read_checkpoint(checkpoint))["seen"]
    assert record["names"] == ["HFlickr/f0", "HFlickr/f1", "HFlickr/f2"]
    seen = Seen.of_records([record])
    assert all(seen.near(perceptual_hash(textured(number))) for number in range(3))


def test_evaluate_and_export_say_what_a_model_was_trained_on(trained_on_pairs, tmp_path):
    """Of three test pictures one has a training picture's name, one shows one under another name."""
    _, checkpoint = trained_on_pairs
    test = with_texture(iharmony4(tmp_path / "test", 6, "test"))
    for folder, suffix, new in (
        ("composite_images", "_1_1.jpg", "_1_1.jpg"),
        ("masks", "_1.png", "_1.png"),
        ("real_images", ".jpg", ".jpg"),
    ):
        shutil.copy(test / "HFlickr" / folder / f"f1{suffix}", test / "HFlickr" / folder / f"f77{new}")
        pixels = textured(55)
        if folder != "masks":
            Image.fromarray(pixels).resize((120, 90)).save(test / "HFlickr" / folder / f"f88{new}")
        else:
            shutil.copy(test / "HFlickr" / folder / "f1_1.png", test / "HFlickr" / folder / "f88_1.png")
    names = ["f0_1_1", "f77_1_1", "f88_1_1"]
    (test / "IHD_test.txt").write_text("".join(f"HFlickr/composite_images/{n}.jpg\n" for n in names))

    done = CliRunner().invoke(
        cli,
        ["evaluate", "--data", str(test), "--model", str(checkpoint), "--report", str(tmp_path / "r.html")],
    )
    assert done.exit_code == 0, done.output
    said = f"{checkpoint} was trained on 2 of these 3 pictures, so its figures flatter: f0_1_1, f77_1_1."
    assert said in done.output
    assert "was trained on 2 of these 3 pictures" in (tmp_path / "r.html").read_text("utf-8")
    told = CliRunner().invoke(cli, ["evaluate", "--data", str(test), "--model", str(checkpoint), "--json"])
    assert json.loads(told.output)["trained_on"] == {str(checkpoint): ["f0_1_1", "f77_1_1"]}

    record = export(
        checkpoint,
        tmp_path / "out",
        name="leaky",
        title="Leaky",
        description="",
        scored_on={"test": (list(triples_of(test)), ("strict",))},
    )
    assert "leaky was trained on 2 of these 3 pictures" in record.training_data
    file = tmp_path / "out" / "leaky.safetensors"
    store.add(file)
    for name in ("leaky", str(file)):
        watch = Watch({name: Seen.of_records(seen_records(name))})
        assert len(list(watch.watched(triples_of(test)))) == 3
        assert watch.found == {name: ["f0_1_1", "f77_1_1"]}

    continued = dataclasses.replace(RECIPE, steps=1, pictures_every=0)
    other = train(continued, photographs(tmp_path / "photos"), tmp_path / "more", start="leaky")
    assert len(recorded(read_checkpoint(other))["seen"]) == 2, "what a run starts from has seen counts, too"


def test_a_checkpoint_and_its_model_file_score_alike(trained_on_pairs, tmp_path):
    _, checkpoint = trained_on_pairs
    export(checkpoint, tmp_path, name="same", title="", description="", scored_on={})
    picture, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    models = load_models([str(checkpoint), str(tmp_path / "same.safetensors")])
    first, second = (network(picture, mask) for network in models.values())  # type: ignore[misc,operator]
    assert torch.equal(first, second)


def test_data_check_names_what_both_lists_share_and_what_a_model_has_seen(trained_on_pairs, tmp_path):
    _, checkpoint = trained_on_pairs
    root = with_texture(iharmony4(tmp_path / "both", 6))
    lines = (root / "IHD_train.txt").read_text().splitlines()
    (root / "IHD_train.txt").write_text("\n".join(lines[:4]) + "\n")
    (root / "IHD_test.txt").write_text("\n".join(lines[3:]) + "\n")
    seen = {"model": Seen.of_records(seen_records(str(checkpoint)))}
    notes = check_data(root, seen=seen).notes
    assert any(note.startswith("1 real pictures of the test list are in the training list") for note in notes)
    assert "model was trained on 2 real pictures of the test list: HFlickr/f1, HFlickr/f2." in notes
    photos = with_texture(photographs(tmp_path / "photos", 3))
    assert "model was trained on 3 of these photographs: p0, p1, p2." in check_data(photos, seen=seen).notes
