"""iHarmony4 (Cong et al. 2020): its lists, and composites named REAL_MASK_VARIANT.jpg.

Other sets with a truth (`other_sets.py`) are read through the same functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glihamba_training.data import other_sets
from glihamba_training.data.entry import BadList, Entry
from glihamba_training.data.pictures import BadPicture, read_mask, read_photo

__all__ = ["BadList", "Entry", "Triple"]

NAME = "iHarmony4"
OFFICIAL = {
    "train": {"HCOCO": 38_545, "HAdobe5k": 19_437, "HFlickr": 7_449, "Hday2night": 311},
    "test": {"HCOCO": 4_283, "HAdobe5k": 2_160, "HFlickr": 828, "Hday2night": 133},
}
"""Composites in the lists that its authors published: 65,742 and 7,404."""


@dataclass(frozen=True)
class Triple:
    """composite, real (H,W,3) uint8; mask (H,W) uint8, 0..255."""

    name: str
    subset: str
    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray


def is_copy(root: Path) -> bool:
    """True for a folder with a list of iHarmony4 or another set, even if other files are missing."""
    return kind_of(root) != ""


def kind_of(root: Path) -> str:
    """The data set's name, "" for a folder without a truth."""
    if any((root / f"IHD_{split}.txt").is_file() for split in OFFICIAL):
        return NAME
    return other_sets.kind_of(root)


def official(root: Path) -> dict[str, dict[str, int]]:
    """Split -> subset -> composites, as the set's authors count them; empty if they are not known."""
    kind = kind_of(root)
    if kind == NAME:
        return OFFICIAL
    one = {split: {kind: counts[kind]} for split, counts in OFFICIAL.items() if kind in counts}
    return other_sets.OFFICIAL.get(kind, one)


def list_name(root: Path, split: str) -> str:
    """The file that lists a split's composites."""
    return f"IHD_{split}.txt" if kind_of(root) in (NAME, "") else other_sets.list_name(root, split)


def entries(root: Path, split: str) -> list[Entry]:
    """The official list, in its order.

    Raises FileNotFoundError, which names the list, if it is missing, and BadList.
    """
    listed = root / f"IHD_{split}.txt"
    if not listed.is_file() and kind_of(root) not in (NAME, ""):
        return other_sets.entries(root, split)
    if not listed.is_file():
        raise FileNotFoundError(f"{root} is not a copy of iHarmony4: {listed.name} is missing.")
    found = []
    for line in listed.read_text("utf-8").split():
        subset, composites, file = line.partition("/composite_images/")
        name = Path(file).stem
        if not composites or name.count("_") < 2:
            raise BadList(f'The line "{line}" of {listed} is not a composite: download the list again.')
        found.append(Entry(line, subset, name))
    return found


def missing(root: Path, listed: Iterable[Entry]) -> list[tuple[Entry, Path]]:
    """Listed files that do not exist. Folders are listed once: a stat for each file would take minutes."""
    there: dict[Path, set[str]] = {}
    found = []
    for entry in listed:
        for path in (entry.composite, entry.mask, entry.real):
            if path.parent not in there:
                folder = root / path.parent
                there[path.parent] = {item.name for item in os.scandir(folder)} if folder.is_dir() else set()
            if path.name not in there[path.parent]:
                found.append((entry, path))
    return found


def refuse_missing(root: Path, split: str, listed: Iterable[Entry]) -> None:
    """Raises FileNotFoundError, which names the first missing file and counts the others."""
    if absent := missing(root, listed):
        entry, path = absent[0]
        others = f" (and {len(absent) - 1:,} more: see `glihamba data check`)" if len(absent) > 1 else ""
        raise FileNotFoundError(
            f"{list_name(root, split)} names {entry.line}: {path.as_posix()} is missing{others}."
            " Complete the copy, or take it off the list."
        )


def read_entry(root: Path, entry: Entry) -> Triple:
    """The entry's pictures at full size. Raises BadPicture for a damaged one and for different sizes."""
    composite, size = read_photo(root / entry.composite, entry.line)
    mask = read_mask(root / entry.mask, entry.mask.as_posix(), size)
    real, real_size = read_photo(root / entry.real, entry.real.as_posix())
    if real_size != size:
        raise BadPicture(
            f"{entry.real.as_posix()} is {real_size[0]} x {real_size[1]} pixels and its composite"
            f" {entry.line} {size[0]} x {size[1]}: resize all three alike."
        )
    return Triple(entry.name, entry.subset, *(np.asarray(image) for image in (composite, mask, real)))


def read_triples(root: Path, split: str = "test") -> Iterator[Triple]:
    """The split's triples in the official list's order.

    Raises FileNotFoundError, which names the missing list or picture, and BadPicture for a damaged picture
    and for a mask or photograph of another size than its composite.
    """
    listed = entries(root, split)
    refuse_missing(root, split, listed)
    for entry in listed:
        yield read_entry(root, entry)
