"""Folders of training pictures: what is read, and the sentence for each thing that can be wrong."""

from __future__ import annotations

import dataclasses
import logging
import os
import tarfile
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training_pictures import cut_short, iharmony4, photographs, scene

from glihamba.errors import BadRequest
from glihamba_training.data.check import check_data
from glihamba_training.data.iharmony4 import BadList, read_triples
from glihamba_training.data.photos import examples, licences, photo_dataset
from glihamba_training.data.pictures import BadPicture, read_photo
from glihamba_training.data.regions import find_regions
from glihamba_training.run.recipe import Recipe
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.run.sources import Loader, open_source
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.contact_sheets import contact_sheet, foreground_mse
from glihamba_training.synthesis.pairs import pair_dataset
from glihamba_training.synthesis.settings import SynthesisSettings

RECIPE = Recipe(model="glihamba-tiny", size=32, batch=4, steps=4)
WHOLE = SynthesisSettings(smallest_crop=1.0, flip=0.0, area=(0.0, 1.0))


def test_iharmony4_gives_every_composite_once_an_epoch_and_its_own_real_one(tmp_path):
    root = iharmony4(tmp_path)
    source, described = open_source(root, dataclasses.replace(RECIPE, synthesis=WHOLE))
    assert (described["kind"], described["composites"], described["photographs"]) == ("iHarmony4", 6, 3)
    dataset = pair_dataset(root, "train", 32)
    assert (len(dataset.composites), len(dataset.reals), len(dataset.masks)) == (6, 3, 3)
    epoch = torch.cat([source.batch(step, 32, 2).composite for step in range(3)])
    whole = torch.from_numpy(np.array(dataset.composites)).permute(0, 3, 1, 2) / 255
    matches = (epoch[:, None] - whole).abs().amax((2, 3, 4)) < 1e-6
    assert matches.sum(0).tolist() == [1] * 6, "each once"
    order = matches.int().argmax(1)
    later = torch.cat([source.batch(step, 32, 2).composite for step in range(3, 6)])
    assert not torch.equal(later, epoch), "the next epoch has another order"
    for step in range(3):
        batch = source.batch(step, 32, 2)
        outside = (batch.mask == 0).expand_as(batch.real)
        assert (batch.composite - batch.real)[outside].abs().max() < 0.06, "JPEG's error and no more"
        assert foreground_mse(batch).min() > 100
        wanted = torch.from_numpy(np.array(dataset.reals[dataset.real_of[order[2 * step : 2 * step + 2]]]))
        torch.testing.assert_close(batch.real, wanted.permute(0, 3, 1, 2) / 255)


def test_iharmony4_is_cropped_and_mirrored_as_the_recipe_says(tmp_path):
    root = iharmony4(tmp_path)
    mirrored = dataclasses.replace(WHOLE, flip=1.0)
    plain, flipped, cropped = (
        open_source(root, dataclasses.replace(RECIPE, synthesis=s))[0].batch(0, 32, 4)
        for s in (WHOLE, mirrored, dataclasses.replace(WHOLE, smallest_crop=0.5))
    )
    torch.testing.assert_close(flipped.composite, plain.composite.flip(3), atol=1e-5, rtol=0)
    assert cropped.mask.mean() > 1.2 * plain.mask.mean(), "crops enlarge what is in the middle"


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("layout", [iharmony4, photographs])
def test_the_loader_gives_the_same_batches_by_any_number_of_threads(tmp_path, layout, threads):
    source, _ = open_source(layout(tmp_path / "data"), RECIPE)
    batches: Any = iter(Loader(source, RECIPE, first_step=3, threads=threads))
    for step, batch in enumerate(islice(batches, 4), 3):
        for got, wanted in zip(batch, source.batch(step, 32, 4), strict=True):
            assert torch.equal(got, wanted)
    if threads:
        batches.close()


def test_processes_share_each_step_s_pictures(tmp_path):
    source, _ = open_source(iharmony4(tmp_path), dataclasses.replace(RECIPE, synthesis=WHOLE))
    alone = next(iter(Loader(source, RECIPE, first_step=1)))
    halves = [next(iter(Loader(source, RECIPE, first_step=1, rank=rank, world=2))) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.composite for half in halves]), alone.composite)


def test_a_plain_folder_with_masks_beside_or_in_a_folder(tmp_path):
    root = photographs(tmp_path / "photos", 3)
    (root / "more" / "masks").mkdir(parents=True)
    pixels, mask = scene(9)
    Image.fromarray(pixels).save(root / "more" / "p9.png")
    Image.fromarray(mask // 255).save(root / "more" / "masks" / "p9.png")  # 0 and 1 for 0 and 255
    found = {example.name: len(example.masks) for example in examples(root, None)}
    assert found == {"more/p9": 1, "p0": 1, "p1": 1, "p2": 1}
    dataset = photo_dataset(root, "train", 32)
    assert len(dataset.photos) == len(dataset.masks) == 4 - len(list(examples(root, "val")))
    assert (dataset.masks.max((1, 2)) == 255).all()


def packed(root, path):
    with tarfile.open(path, "w") as tar:
        for file in sorted(root.iterdir()):
            tar.add(file, file.name)
    return path


def test_tars_with_and_without_a_split_of_their_own(tmp_path):
    photos = photographs(tmp_path / "photos", 40)
    (tmp_path / "tars").mkdir()
    tar = packed(photos, tmp_path / "tars" / "all.tar")
    names = {split: {e.name for e in examples(tmp_path / "tars", split)} for split in ("train", "val")}
    assert names["train"] | names["val"] == {f"p{index}" for index in range(40)}
    assert names["val"]
    assert not names["train"] & names["val"]
    assert len(photo_dataset(tmp_path / "tars", "train", 24).photos) == len(names["train"])
    tar.rename(tmp_path / "tars" / "train-0.tar")
    assert len(photo_dataset(tmp_path / "tars", "train", 24).photos) == 40
    with pytest.raises(FileNotFoundError, match="holds no photographs to use as val"):
        photo_dataset(tmp_path / "tars", "val", 24)


def test_a_tar_that_was_corrected_is_decoded_anew(tmp_path):
    """The corrected tar has the same names and the same size."""
    photos = photographs(tmp_path / "photos", 3)
    (tmp_path / "tars").mkdir()
    tar = packed(photos, tmp_path / "tars" / "train.tar")
    before, size = photo_dataset(tmp_path / "tars", "train", 24), tar.stat().st_size
    Image.fromarray(scene(1)[1][::-1].copy()).save(photos / "p1.mask0.png")
    changed = packed(photos, tar)
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    assert changed.stat().st_size == size
    after = photo_dataset(tmp_path / "tars", "train", 24)
    assert (before.masks != after.masks).any((1, 2)).tolist() == [False, True, False]
    # Tars of the same names in another folder must not be used.
    (tmp_path / "other").mkdir()
    other = packed(photographs(tmp_path / "more", 3), tmp_path / "other" / "train.tar")
    os.utime(other, ns=(0, changed.stat().st_mtime_ns))
    assert other.stat().st_size == size
    assert (photo_dataset(tmp_path / "other", "train", 24).masks == before.masks).all()


def test_kinds_of_masks_that_were_corrected_count_at_once(tmp_path):
    root = photographs(tmp_path / "photos", 3)
    assert set(photo_dataset(root, "train", 24).kind_of.tolist()) == {0}
    (root / "manifest.csv").write_text("name,mask_kinds\np0,r\np1,g\np2,h\n")
    assert sorted(photo_dataset(root, "train", 24).kind_of.tolist()) == [0, 1, 2]


def test_photographs_of_one_name_in_different_folders_of_a_tar_stay_apart(tmp_path):
    photos = photographs(tmp_path / "photos", 2)
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for index, folder in enumerate(("./a", "b/c")):
            for part in ("jpg", "mask0.png"):
                tar.add(photos / f"p{index}.{part}", f"{folder}/001.{part}")
        tar.add(photos / "p0.jpg", "a/._001.jpg")
    (tmp_path / "manifest.csv").write_text("name,mask_kinds\na/001,r\nb/c/001,g\n")
    found = {each.name: each for each in examples(tmp_path, "train")}
    assert {name: (len(e.masks), e.kinds) for name, e in found.items()} == {
        "a/001": (1, "r"),
        "b/c/001": (1, "g"),
    }
    for index, name in enumerate(found):
        assert found[name].photo == (photos / f"p{index}.jpg").read_bytes()
        assert found[name].masks == ((photos / f"p{index}.mask0.png").read_bytes(),)


def test_a_tar_that_is_cut_short_is_named(tmp_path):
    photos = photographs(tmp_path / "photos", 4)
    for name in ("train-0.tar", "train-1.tar", "train-2.tar"):
        packed(photos, tmp_path / name)
    cut_short(tmp_path / "train-0.tar")
    (tmp_path / "train-1.tar").write_bytes(b"no tar" * 200)
    sentences = [
        f"{tmp_path / name} is cut short or not a tar file: copy it again, or take it out."
        for name in ("train-0.tar", "train-1.tar")
    ]
    with pytest.raises(BadPicture) as raised:
        photo_dataset(tmp_path, "train", 24)
    assert str(raised.value) == sentences[0]
    report = check_data(tmp_path)
    assert report.problems == sentences
    assert report.rows == [{"photographs": 4, "masks": 4, "without masks": 0}], "the third's"


def test_a_manifest_as_a_spreadsheet_writes_it(tmp_path):
    root = photographs(tmp_path / "photos", 3)
    path = root / "manifest.csv"
    path.write_text("name,licence\np0,CC0\np1,Müller's\n", "utf-8-sig")
    assert licences(root, None) == {"CC0": 1, "Müller's": 1}
    path.write_text("name,licence\np0,Müller's\n", "latin-1")
    with pytest.raises(BadRequest) as raised:
        check_data(root)
    assert str(raised.value) == f"{path} is not a CSV file in UTF-8: save it again as that, or take it out."
    path.write_text("name;licence\np0;CC0\n")
    with pytest.raises(BadRequest) as raised:
        photo_dataset(root, "train", 24)
    assert str(raised.value) == (
        f'{path} has no column "name": its first line must name its columns, separated by commas.'
    )


def test_masks_that_the_manifest_forgets_are_named(tmp_path, caplog):
    root = photographs(tmp_path / "photos", 3)
    Image.fromarray(scene(0)[1][::-1].copy()).save(root / "p0.mask1.png")
    (root / "manifest.csv").write_text("name,mask_kinds\np0,r\n")
    sentence = (
        f'{root / "p0.mask1.png"} has no letter in manifest.csv: its mask_kinds must have 2 for p0, not "r".'
    )
    assert check_data(root).problems == [sentence]
    with caplog.at_level(logging.WARNING):
        assert len(photo_dataset(root, "train", 24).masks) == 3
    assert f"Left out: {sentence}" in caplog.text


def test_every_twentieth_photograph_of_a_plain_folder_is_held_out(tmp_path):
    for index in range(200):
        (tmp_path / f"{index}.jpg").touch()
    train, val = ({e.name for e in examples(tmp_path, split)} for split in ("train", "val"))
    assert not train & val
    assert len(train | val) == 200
    assert 3 <= len(val) <= 20


@pytest.mark.slow
def test_objects_are_found_in_photographs_without_masks(tmp_path):
    y, x = np.mgrid[0:150, 0:150]
    mask = ((y - 80) ** 2 + (x - 70) ** 2 < 30**2).astype(np.uint8) * 255
    grain = np.random.default_rng(0).normal(0, 12, (150, 150, 1))
    pixels = np.where(mask[..., None] > 0, (190, 70, 60), (70, 120, 80)) + grain
    pixels = pixels.clip(0, 255).astype(np.uint8)
    found = find_regions(pixels, 1)
    assert found
    overlaps = [((m > 127) & (mask > 127)).sum() / ((m > 127) | (mask > 127)).sum() for m in found]
    assert max(overlaps) > 0.8, "the disc"
    for first, second in zip(found, find_regions(pixels, 1), strict=True):
        assert (first == second).all()
    root = photographs(tmp_path / "bare", 4)
    for path in root.glob("*.mask0.png"):
        path.unlink()
    dataset = photo_dataset(root, "train", 48)
    assert len(dataset.masks) >= 3
    assert set(dataset.kind_of.tolist()) == {1}
    assert Synthesis(dataset, SynthesisSettings(), 0).batch(0, 32, 4).mask.amax((1, 2, 3)).min() > 0.5


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_photographs_of_any_mode_become_rgb(tmp_path, mode):
    pixels, _ = scene(1)
    gray = np.asarray(Image.fromarray(pixels).convert("L"))
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    image.save(path)
    rgb, size = read_photo(path, "p")
    assert (rgb.mode, rgb.size, size) == ("RGB", (120, 90), (120, 90))
    assert abs(np.asarray(rgb.convert("L")).mean() - gray.mean()) < 8


def test_a_photograph_on_its_side_is_turned_as_its_mask_is(tmp_path):
    image = Image.fromarray(scene(1)[0])
    exif = image.getexif()
    exif[0x112] = 6
    image.save(tmp_path / "p.jpg", exif=exif)
    turned, size = read_photo(tmp_path / "p.jpg", "p", 8)
    assert size == (90, 120)
    assert turned.height > turned.width


def broken(root, name, how):
    if how == "cut short":
        cut_short(root / name)
    elif how == "another size":
        Image.new("L", (7, 5), 255).save(root / name)
    elif how == "empty":
        Image.new("L", (120, 90)).save(root / name)


SENTENCES = {
    "cut short": "{} is cut short or not a picture: replace it or take it out.",
    "another size": "{} is 7 x 5 pixels and its photograph 120 x 90: give both one size.",
    "empty": "{} has an empty foreground: draw its object in white, or take it out.",
}


@pytest.mark.parametrize("how", SENTENCES)
def test_broken_pictures_of_iharmony4_stop_with_their_name(tmp_path, how):
    root = iharmony4(tmp_path)
    name = "HFlickr/composite_images/f1_1_2.jpg" if how == "cut short" else "HFlickr/masks/f1_1.png"
    broken(root, name, how)
    with pytest.raises(BadPicture) as raised:
        open_source(root, RECIPE)
    others = "" if how == "cut short" else " 1 more are wrong: see `glihamba data check`."
    assert str(raised.value) == SENTENCES[how].format(name) + others
    assert SENTENCES[how].format(name) in check_data(root).problems
    with pytest.raises(BadPicture):
        list(read_triples(root, "train"))


@pytest.mark.parametrize("how", SENTENCES)
def test_broken_photographs_are_left_out_and_named(tmp_path, how, caplog):
    root = photographs(tmp_path / "photos")
    name = "p3.jpg" if how == "cut short" else "p3.mask0.png"
    broken(root, name, how)
    sentence = SENTENCES[how].format(root / name)
    with caplog.at_level(logging.WARNING):
        dataset = photo_dataset(root, "train", 32)
    assert len(dataset.photos) == 7 - len(list(examples(root, "val")))
    assert f"Left out: {sentence}" in caplog.text
    assert check_data(root).problems == [sentence]


def test_a_photograph_of_another_size_than_its_composite_is_named(tmp_path):
    root = iharmony4(tmp_path)
    Image.fromarray(scene(0, 45, 60)[0]).save(root / "HFlickr/real_images/f0.jpg")
    with pytest.raises(BadPicture, match=r"f0\.jpg and its composite .*f0_1_1\.jpg are of different sizes"):
        open_source(root, RECIPE)
    with pytest.raises(BadPicture, match=r"f0\.jpg is 60 x 45 pixels and its composite .* 120 x 90: resize"):
        list(read_triples(root, "train"))


def test_when_nothing_can_be_used_it_says_so(tmp_path):
    root = photographs(tmp_path / "photos", 2)
    for path in root.glob("*.jpg"):
        cut_short(path)
    with pytest.raises(
        BadPicture, match=r"None of the photographs in .* can be used\. .*p0\.jpg is cut short"
    ):
        photo_dataset(root, "train", 32)


def test_missing_files_lists_and_roots_are_named(tmp_path):
    root = iharmony4(tmp_path / "copy")
    (root / "HFlickr/masks/f2_1.png").unlink()
    with pytest.raises(FileNotFoundError) as raised:
        open_source(root, RECIPE)
    assert str(raised.value) == (
        "IHD_train.txt names HFlickr/composite_images/f2_1_1.jpg: HFlickr/masks/f2_1.png is missing"
        " (and 1 more: see `glihamba data check`). Complete the copy, or take it off the list."
    )
    report = check_data(root)
    assert "HFlickr/masks/f2_1.png is missing (HFlickr/composite_images/f2_1_2.jpg)." in report.problems
    (root / "IHD_train.txt").rename(root / "IHD_test.txt")
    with pytest.raises(FileNotFoundError, match=r"is not a copy of iHarmony4: IHD_train\.txt is missing"):
        open_source(root, RECIPE)
    (root / "IHD_test.txt").write_text("HFlickr/f1.jpg\n")
    with pytest.raises(
        BadList, match=r'The line "HFlickr/f1\.jpg" of .* is not a composite: download the list again'
    ):
        list(read_triples(root))
    (tmp_path / "empty").mkdir()
    for name, sentence in (("empty", "holds no photographs to use as train"), ("nowhere", "is not a folder")):
        with pytest.raises(FileNotFoundError, match=sentence):
            open_source(tmp_path / name, RECIPE)
    with pytest.raises(FileNotFoundError, match=r"holds neither iHarmony4 .* nor photographs"):
        check_data(tmp_path / "empty")


def test_check_counts_against_the_official_lists_and_notes_small_objects(tmp_path):
    root = iharmony4(tmp_path)
    speck = np.zeros((90, 120), np.uint8)
    speck[40:43, 50:53] = 255  # 9 of 10,800 pixels: 55 of 65,536
    Image.fromarray(speck).save(root / "HFlickr/masks/f0_1.png")
    report = check_data(root)
    (row,) = [row for row in report.rows if row["listed"]]
    assert row == {"list": "train", "subset": "HFlickr", "official": 7449, "listed": 6, "whole": 6}
    assert report.problems[0] == "IHD_test.txt is missing, with its 7,404 composites."
    assert "IHD_train.txt lists 6 composites of HFlickr, the official list 7,449." in report.problems
    assert len(report.problems) == 1 + 4
    assert report.notes == [
        f"HFlickr/composite_images/f0_1_{variant}.jpg: its object has 55 pixels at 256 x 256; the loss counts"
        " it as 100 (A_min)."
        for variant in (1, 2)
    ]


def test_check_of_photographs_counts_and_tells_licences(photo_shards):
    report = check_data(photo_shards)
    assert report.rows == [{"photographs": 30, "masks": 30, "without masks": 0}]
    assert report.problems == []
    assert report.notes == ["30 photographs: made here"]


def test_the_sheet_shows_what_is_fed(photo_shards):
    batch = Synthesis(photo_dataset(photo_shards, "train", 96), load_recipe("hdnet").synthesis, 0).batch(
        0, 96, 5
    )
    sheet = np.asarray(contact_sheet(batch, columns=2))
    assert sheet.shape == (3 * (96 + 16 + 6) + 6, 2 * (3 * 96 + 18) + 6, 3)
    for place, planes in enumerate((batch.composite, batch.mask.expand(-1, 3, -1, -1), batch.real)):
        left = 6 + place * 98
        shown = sheet[6:102, left : left + 96]
        assert (shown == (planes[0] * 255).round().byte().permute(1, 2, 0).numpy()).all()
    assert (sheet[103:118, 6:100] < 128).any(), "the foreground's MSE is written below"
    by_hand = ((batch.composite[0] - batch.real[0]) * 255).square()[:, batch.mask[0, 0] == 1].mean()
    assert float(foreground_mse(batch)[0]) == pytest.approx(float(by_hand), rel=0.2)
