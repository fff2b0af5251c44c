"""iHarmony4's layout: lists at the root and in each subset, composites named REAL_MASK_VARIANT.jpg."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glihamba.errors import BadRequest
from glihamba_training.data.pictures import BadPicture, read_mask, read_photo

OFFICIAL = {
    "train": {"HCOCO": 38_545, "HAdobe5k": 19_437, "HFlickr": 7_449, "Hday2night": 311},
    "test": {"HCOCO": 4_283, "HAdobe5k": 2_160, "HFlickr": 828, "Hday2night": 133},
}
"""Composites in the lists that its authors published: 65,742 and 7,404."""


class BadList(BadRequest, ValueError):
    """A list with a line that names no composite; `str(error)` quotes it."""


@dataclass(frozen=True)
class Entry:
    """A line of a list, and the three files it stands for, relative to the root."""

    line: str
    subset: str
    name: str

    @property
    def composite(self) -> Path:
        return Path(self.line)

    @property
    def mask(self) -> Path:
        return Path(self.subset, "masks", f"{self.name.rpartition('_')[0]}.png")

    @property
    def real(self) -> Path:
        return Path(self.subset, "real_images", f"{self.name.split('_')[0]}.jpg")


@dataclass(frozen=True)
class Triple:
    """composite, real (H,W,3) uint8; mask (H,W) uint8, 0..255."""

    name: str
    subset: str
    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray


def is_copy(root: Path) -> bool:
    """True for a folder with one of iHarmony4's lists."""
    return any((root / f"IHD_{split}.txt").is_file() for split in OFFICIAL)


def entries(root: Path, split: str) -> list[Entry]:
    """The official list, in its order.

    Raises FileNotFoundError that names the list that is missing, and BadList.
    """
    listed = root / f"IHD_{split}.txt"
    if not listed.is_file():
        raise FileNotFoundError(f"{root} is no copy of iHarmony4: {listed.name} is missing.")
    found = []
    for line in listed.read_text("utf-8").split():
        subset, composites, file = line.partition("/composite_images/")
        name = Path(file).stem
        if not composites or name.count("_") < 2:
            raise BadList(f'{listed} names no composite in "{line}": download the list again.')
        found.append(Entry(line, subset, name))
    return found


def missing(root: Path, listed: Iterable[Entry]) -> list[tuple[Entry, Path]]:
    """What is listed and not there, from the folders' listings: a stat for each file would take minutes."""
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
    """Raises FileNotFoundError that names what is missing first, and how much else is."""
    if absent := missing(root, listed):
        entry, path = absent[0]
        others = f" (and {len(absent) - 1:,} more: see `glihamba data check`)" if len(absent) > 1 else ""
        raise FileNotFoundError(
            f"IHD_{split}.txt names {entry.line}: {path.as_posix()} is missing{others}."
            " Complete the copy, or take it off the list."
        )


def read_entry(root: Path, entry: Entry) -> Triple:
    """The entry's pictures in full; raises BadPicture for a damaged one or one of another size."""
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

    Raises FileNotFoundError that names the list or the picture that is missing, and BadPicture for a mask
    or photograph of another size than its composite.
    """
    listed = entries(root, split)
    refuse_missing(root, split, listed)
    for entry in listed:
        yield read_entry(root, entry)
