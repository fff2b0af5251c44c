"""Photographs under free licences: which they are, what is written, and the credit they ask for."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from cli_pictures import here

from glihamba.errors import BadRequest
from glihamba_training.data.licensed import FREE, allowed, write_subset
from glihamba_training.data.photos import examples, licences, photo_dataset


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("cc0", True),
        ("CC-BY-2.0", True),
        ("cc-by-sa-4.0", True),
        ("public domain", True),
        ("cc-by", True),
        ("cc-by-nc-2.0", False),
        ("cc-by-nd-2.0", False),
        ("cc-by-nc-sa-2.0", False),
        ("research/non-commercial only", False),
        ("cc0/unsplash/pexels (elementary)", False),
        ("pexels (free use)", False),
        ("", False),
    ],
)
def test_what_allows_use_and_adaptation(licence: str, free: bool) -> None:
    assert allowed(licence, FREE) is free


@pytest.fixture
def photos(photo_shards: Path, tmp_path: Path) -> Path:
    """A copy whose manifest may be written."""
    return Path(shutil.copytree(photo_shards, tmp_path / "photos"))


def described(root: Path, of: dict[str, str]) -> list[str]:
    """Write a manifest that gives the photographs these licences in turn; return their names."""
    names = [example.name for split in ("train", "val") for example in examples(root, split)]
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "licence", "origin", "mask_kinds"])
        kinds = list(of.items())
        for number, name in enumerate(names):
            licence, origin = kinds[number % len(kinds)]
            writer.writerow([name, licence, origin, "h"])
    return names


def test_what_is_free_is_written_with_its_credit(photos: Path, tmp_path: Path) -> None:
    names = described(photos, {"cc-by-2.0": "Ada", "research only": "Bob"})
    output = tmp_path / "free"
    done = write_subset(photos, output, FREE)
    kept = names[::2]
    assert done.photographs == {"cc-by-2.0": len(kept)}
    assert done.left_out == {"research only": len(names) - len(kept)}
    assert licences(output, None) == done.photographs
    found = [example for split in ("train", "val") for example in examples(output, split)]
    assert [example.name for example in found] == kept
    before = {e.name: e for split in ("train", "val") for e in examples(photos, split)}
    assert all(each.photo == before[each.name].photo for each in found)
    assert all(each.masks == before[each.name].masks for each in found)
    notice = (output / "NOTICE.txt").read_text()
    assert all(f"{name}, Ada, cc-by-2.0" in notice for name in kept)
    assert "Bob" not in notice
    assert len(photo_dataset(output, "train", 32, cache=tmp_path / "cache").photos)


def test_a_second_folder_of_the_same_name_is_refused(photos: Path, tmp_path: Path) -> None:
    described(photos, {"cc0": "Ada"})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadRequest, match="is not empty: name a new folder"):
        write_subset(photos, tmp_path, FREE)
    with pytest.raises(BadRequest, match=r"No photograph of .* is under gpl"):
        write_subset(photos, tmp_path / "new", ["gpl"])


def test_without_a_manifest_nothing_says_what_is_allowed(photos: Path, tmp_path: Path) -> None:
    (photos / "manifest.csv").unlink()
    done = here("data", "subset", photos, "-o", tmp_path / "new")
    assert done.returncode == 1
    assert "has no manifest.csv with a column licence: nothing says what is allowed." in done.stderr
    assert not (tmp_path / "new").exists()


def test_the_command_says_what_was_kept(photos: Path, tmp_path: Path) -> None:
    names = described(photos, {"cc0": "Ada", "cc-by-nc-2.0": "Bob"})
    done = here("data", "subset", photos, "-o", tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["photographs"].values()) == len(names[::2])
