"""Photographs with object masks, decoded once and kept as arrays.

The source is a folder of WebDataset-style tars (`NAME.jpg`, `NAME.mask0.png`, ...), with a
`manifest.csv` that names each mask's kind. Decoding is what would starve a training, so a bank of one
size is written to the cache folder on first use and memory-mapped afterwards.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from PIL import Image

KINDS = {"h": 0, "g": 1, "b": 1, "r": 2}  # human annotation, GrabCut, colour region


@dataclass(frozen=True)
class PhotoBank:
    """photos: (P, S, S, 3) uint8, sRGB, squashed to the square. masks: (M, S, S) uint8 coverage, 0..255.
    photo_of: (M,) the photograph of each mask. kind_of: (M,) 0 whole objects, 1 GrabCut, 2 colour regions.
    """

    photos: np.ndarray
    masks: np.ndarray
    photo_of: np.ndarray
    kind_of: np.ndarray


def load_bank(root: Path, split: str, size: int) -> PhotoBank:
    """The bank of `split` ("train" or "val") at `size` pixels; built on first use.

    Raises FileNotFoundError, with a sentence, when `root` holds no shards of the split.
    """
    shards = sorted(root.glob(f"{split}*.tar"))
    if not shards:
        raise FileNotFoundError(f"{root} holds no {split}*.tar: give the folder of photograph shards.")
    identity = f"{size}:" + ";".join(f"{s.name}:{s.stat().st_size}" for s in shards)
    folder = platformdirs.user_cache_path("glihamba") / "photo-banks"
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{split}-{size}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    names = ("photos", "masks", "photo_of", "kind_of")
    paths = {name: stem.with_name(f"{stem.name}-{name}.npy") for name in names}
    if not all(path.exists() for path in paths.values()):
        for name, array in _decode(shards, _mask_kinds(root), size).items():
            partial = paths[name].with_suffix(".part.npy")
            np.save(partial, array)
            os.replace(partial, paths[name])
    return PhotoBank(**{name: np.load(path, mmap_mode="r") for name, path in paths.items()})


def read_shards(shards: list[Path]) -> Iterator[tuple[str, bytes, list[bytes]]]:
    """Name, encoded photograph and encoded masks of every example, in the shards' order."""
    for shard in shards:
        examples: dict[str, dict[str, bytes]] = {}
        with tarfile.open(shard) as tar:
            for member in tar:
                name, _, part = Path(member.name).name.partition(".")
                stream = tar.extractfile(member)
                if stream is not None:
                    examples.setdefault(name, {})[part] = stream.read()
        for name, parts in examples.items():
            masks = sorted((p for p in parts if p.startswith("mask")), key=lambda p: int(p[4:-4]))
            yield name, parts["jpg"], [parts[p] for p in masks]


def _mask_kinds(root: Path) -> dict[str, str]:
    with open(root / "manifest.csv", newline="") as file:
        return {row["name"]: row["mask_kinds"] for row in csv.DictReader(file)}


def _decode(shards: list[Path], kinds: dict[str, str], size: int) -> dict[str, np.ndarray]:
    def decode(example: tuple[str, bytes, list[bytes]]) -> tuple[str, np.ndarray, list[np.ndarray]]:
        name, photo, masks = example
        pixels = Image.open(io.BytesIO(photo)).convert("RGB").resize((size, size), Image.Resampling.BOX)
        planes = [Image.open(io.BytesIO(mask)).convert("L") for mask in masks]
        planes = [plane.resize((size, size), Image.Resampling.BOX) for plane in planes]
        return name, np.asarray(pixels), [np.asarray(plane) for plane in planes]

    photos: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    photo_of: list[int] = []
    kind_of: list[int] = []
    with ThreadPoolExecutor() as pool:
        for name, pixels, planes in pool.map(decode, read_shards(shards)):
            for letter, plane in zip(kinds[name], planes, strict=True):
                masks.append(plane)
                photo_of.append(len(photos))
                kind_of.append(KINDS[letter])
            photos.append(pixels)
    return {
        "photos": np.stack(photos),
        "masks": np.stack(masks),
        "photo_of": np.array(photo_of, np.int32),
        "kind_of": np.array(kind_of, np.int8),
    }
