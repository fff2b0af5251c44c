"""Photographs with object masks, in tars or in a plain folder.

Tars are WebDataset's (`NAME.jpg`, `NAME.mask0.png`, ...), `train*.tar` and `val*.tar`. A folder is searched
with the folders in it; masks are beside the photographs (`NAME.mask0.png`) or in a folder `masks`
(`NAME.png`, `NAME.mask0.png`). One photograph in 20 is held out for validation if the data has no split. A
`manifest.csv` may give each mask's kind and each photograph's licence. In photographs without masks, objects
are found by GrabCut.
"""

from __future__ import annotations

import csv
import logging
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from glihamba.errors import BadRequest
from glihamba_training.data.picture_cache import GrowingArray, OnProgress, ahead, cached_arrays
from glihamba_training.data.pictures import SUFFIXES, BadPicture, read_mask, read_photo, squashed

KINDS = {"h": 0, "g": 1, "b": 1, "r": 2}  # human annotation, GrabCut, colour region
HELD_OUT = 20  # one photograph in so many is held out for validation if the data has no split
NAMED = 20  # at most so many unusable files are named one by one

_log = logging.getLogger(__name__)
_MASK = re.compile(r"(.+)\.mask(\d+)")


@dataclass(frozen=True)
class PhotoDataset:
    """Decoded photographs and the masks of their objects.

    photos: (P, S, S, 3) uint8, sRGB, squashed to the square. masks: (M, S, S) uint8 coverage, 0..255.
    photo_of: (M,) the photograph of each mask. kind_of: (M,) 0 whole objects, 1 GrabCut's, 2 colour regions.
    """

    photos: np.ndarray
    masks: np.ndarray
    photo_of: np.ndarray
    kind_of: np.ndarray


@dataclass(frozen=True)
class Example:
    """A photograph and its masks, encoded: bytes, or paths to read. kinds: a letter of `KINDS` each."""

    name: str
    photo: Path | bytes
    masks: tuple[Path | bytes, ...]
    kinds: str


def photo_dataset(
    root: Path,
    split: str,
    size: int,
    progress: OnProgress = lambda done, total: None,
    cache: Path | None = None,
) -> PhotoDataset:
    """The split ("train" or "val") at `size` pixels a side; decoded on first use.

    cache: see `picture_cache.cached_arrays`. Files that can't be used are left out and named in the log.
    Raises FileNotFoundError, with a sentence, when `root` holds no photographs of the split, and BadPicture
    when none of them can be used.
    """
    shards, named = _shards(root, split)
    if not (shards if named else next(examples(root, split), None)):
        raise FileNotFoundError(
            f"{root} holds no photographs to use as {split}: give a folder of JPEG or PNG files,"
            f" or of {split}*.tar."
        )
    stats = [(path, path.stat()) for path in shards or _all_files(root)]
    kinds = zlib.crc32(repr(sorted(_kinds(root).items())).encode())
    identity = f"{size}:{root.resolve()}:{kinds}:" + ";".join(
        f"{path.relative_to(root)}:{stat.st_size}:{stat.st_mtime_ns}" for path, stat in stats
    )

    def build(arrays: dict[str, GrowingArray]) -> None:
        _decode(root, split, size, arrays, progress)

    pixels = {"photos": ((size, size, 3), np.uint8), "masks": ((size, size), np.uint8)}
    return PhotoDataset(
        **cached_arrays(
            f"{split}-{size}",
            identity,
            {**pixels, "photo_of": ((), np.int32), "kind_of": ((), np.int8)},
            build,
            cache,
        )
    )


def examples(root: Path, split: str | None, broken: list[str] | None = None) -> Iterator[Example]:
    """Every photograph of the split (None: of all), in a fixed order; nothing is decoded.

    A tar that can't be read raises BadPicture, or is skipped and named in `broken` if that is given.
    """
    kinds = _kinds(root)
    shards, named = _shards(root, split)
    for name, photo, masks in read_shards(shards, broken) if shards or named else _files(root):
        if split is None or named or _split_of(name) == split:
            yield Example(name, photo, tuple(masks), kinds.get(name, "h" * len(masks)))


def _shards(root: Path, split: str | None) -> tuple[list[Path], bool]:
    """The tars to read for a split, and whether their names say that they hold that split alone."""
    own = {name: sorted(root.glob(f"{name}*.tar")) for name in ("train", "val")}
    if split is not None and any(own.values()):
        return own[split], True
    return sorted(root.glob("*.tar")), False


def _all_files(root: Path) -> list[Path]:
    return [path for photo, masks in photo_files(root).items() for path in (photo, *masks)]


def read_shards(
    shards: list[Path], broken: list[str] | None = None
) -> Iterator[tuple[str, bytes, list[bytes]]]:
    """Name, encoded photograph and encoded masks of every example, in the tars' order. broken: see
    `examples`.
    """
    for shard in shards:
        try:
            parts_of = _unpacked(shard)
        except BadPicture as error:
            if broken is None:
                raise
            broken.append(str(error))
            continue
        for name, parts in parts_of.items():
            photo = next((parts[p] for p in parts if f".{p}" in SUFFIXES), None)
            masks = sorted((p for p in parts if re.fullmatch(r"mask\d+\.png", p)), key=lambda p: int(p[4:-4]))
            if photo is not None:
                yield name, photo, [parts[p] for p in masks]


def _unpacked(shard: Path) -> dict[str, dict[str, bytes]]:
    """The tar's files: path up to the file name's first dot -> what follows that dot -> content."""
    parts_of: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                name, _, part = path.name.partition(".")
                stream = tar.extractfile(member)
                if stream is not None:
                    whole = str(path.parent / name) if name else ""  # hidden files, like macOS's ._photo.jpg
                    parts_of.setdefault(whole, {})[part.lower()] = stream.read()
    except tarfile.TarError as error:
        raise BadPicture(f"{shard} is cut short or not a tar file: copy it again, or take it out.") from error
    return parts_of


def photo_files(root: Path) -> dict[Path, list[Path]]:
    """Every photograph below `root`, with its masks in order."""
    masks: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    photos = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        numbered = _MASK.fullmatch(path.stem)
        if path.parent.name == "masks" or numbered:
            folder = path.parent.parent if path.parent.name == "masks" else path.parent
            stem, number = (numbered[1], int(numbered[2])) if numbered else (path.stem, -1)
            masks.setdefault((folder, stem), []).append((number, path))
        else:
            photos.append(path)
    return {
        photo: [path for _, path in sorted(masks.get((photo.parent, photo.stem), []))] for photo in photos
    }


def manifest(root: Path) -> dict[str, dict[str, str]]:
    """The rows of `manifest.csv` by name; empty without such a file. Raises BadRequest for a bad one."""
    path = root / "manifest.csv"
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if "name" not in (table.fieldnames or ()):
                raise BadRequest(
                    f'{path} has no column "name": its first line must name its columns, separated by commas.'
                )
            return {row["name"]: row for row in table if row["name"]}
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(
            f"{path} is not a CSV file in UTF-8: save it again as that, or take it out."
        ) from error


def _kinds(root: Path) -> dict[str, str]:
    """The letters of the masks, by photograph, as far as the manifest gives them."""
    return {name: row["mask_kinds"] for name, row in manifest(root).items() if row.get("mask_kinds")}


def licences(root: Path, split: str | None) -> dict[str, int]:
    """How many photographs each licence in the manifest covers, the most first; empty if it states none."""
    rows = [
        row
        for row in manifest(root).values()
        if row.get("licence") and (split is None or row.get("split", split) == split)
    ]
    return dict(Counter(row["licence"] for row in rows).most_common())


def _files(root: Path) -> Iterator[tuple[str, Path, list[Path]]]:
    for photo, masks in photo_files(root).items():
        yield photo.relative_to(root).with_suffix("").as_posix(), photo, masks


def _split_of(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) % HELD_OUT == 0 else "train"


@dataclass(frozen=True)
class Decoded:
    """photo: (S,S,3) uint8, None if it can't be used. masks: (S,S) uint8, each with its kind's letter.
    wrong: one sentence for each file that can't be used, with the reason.
    """

    photo: np.ndarray | None
    masks: list[tuple[np.ndarray, str]]
    wrong: list[str]


def decode(example: Example, size: int, find: bool = True) -> Decoded:
    """The example squashed to `size` pixels a side. find: look for objects if it has no masks."""
    try:
        where = str(example.photo) if isinstance(example.photo, Path) else example.name
        image, whole = read_photo(example.photo, where, size)
    except BadPicture as error:
        return Decoded(None, [], [str(error)])
    photo, masks, wrong = squashed(image, size), [], []
    for number, source in enumerate(example.masks):
        where = str(source) if isinstance(source, Path) else f"{example.name}.mask{number}"
        letter = example.kinds[number : number + 1]
        if not letter:
            wrong.append(
                f"{where} has no letter in manifest.csv: its mask_kinds must have {len(example.masks)} for"
                f' {example.name}, not "{example.kinds}".'
            )
            continue
        try:
            masks.append((squashed(read_mask(source, where, whole), size), letter))
        except BadPicture as error:
            wrong.append(str(error))
    if find and not example.masks:
        masks = [(region, "g") for region in _regions(photo, zlib.crc32(example.name.encode()))]
        if not masks:
            wrong.append(f"{example.name} has no mask, and no object was found in it: draw one.")
    return Decoded(photo if masks or not find else None, masks, wrong)


def _regions(photo: np.ndarray, seed: int) -> list[np.ndarray]:
    try:
        from glihamba_training.data.regions import find_regions
    except ModuleNotFoundError as error:
        raise BadPicture(
            "There are photographs without masks, and finding objects in them needs OpenCV:"
            " pip install 'glihamba[train]', or lay masks beside them."
        ) from error
    return find_regions(photo, seed)


def _decode(root: Path, split: str, size: int, arrays: dict[str, GrowingArray], progress: OnProgress) -> None:
    threads = os.cpu_count() or 1
    left_out: list[str] = []
    found = ahead(partial(decode, size=size), examples(root, split), threads, 4 * threads)
    for number, decoded in enumerate(found):
        left_out += decoded.wrong
        for mask, letter in decoded.masks:
            arrays["masks"].append(mask)
            arrays["photo_of"].append(arrays["photos"].count)
            arrays["kind_of"].append(KINDS.get(letter, 0))
        if decoded.photo is not None:
            arrays["photos"].append(decoded.photo)
        progress(number + 1, 0)
    for sentence in left_out[:NAMED]:
        _log.warning("Left out: %s", sentence)
    if len(left_out) > NAMED:
        _log.warning("Left out: %d more; `glihamba data check %s` names them.", len(left_out) - NAMED, root)
    if not arrays["masks"].count:
        raise BadPicture(
            f"None of the photographs in {root} can be used. {left_out[0] if left_out else ''}".strip()
        )
