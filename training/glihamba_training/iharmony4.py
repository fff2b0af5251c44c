"""iHarmony4's layout: lists at the root and in each subset, composites named REAL_MASK_VARIANT.jpg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Triple:
    """composite, real (H,W,3) uint8; mask (H,W) uint8, 0..255."""

    name: str
    subset: str
    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray


def read_triples(root: Path, split: str = "test") -> Iterator[Triple]:
    """The split's triples in the official list's order.

    Raises FileNotFoundError that names the list or the picture that is missing, and ValueError for a mask
    or photograph of another size than its composite.
    """
    listed = root / f"IHD_{split}.txt"
    if not listed.is_file():
        raise FileNotFoundError(f"{root} is no copy of iHarmony4: {listed.name} is missing.")
    for line in listed.read_text().split():
        subset, _, file = line.partition("/composite_images/")
        name = Path(file).stem
        mask_name, real_name = name.rpartition("_")[0], name.split("_")[0]
        paths = (
            root / line,
            root / subset / "masks" / f"{mask_name}.png",
            root / subset / "real_images" / f"{real_name}.jpg",
        )
        for path in paths:
            if not path.is_file():
                raise FileNotFoundError(f"{listed.name} names {line}: {path.relative_to(root)} is missing.")
        composite, mask, real = (
            np.asarray(Image.open(path).convert(mode))
            for path, mode in zip(paths, ("RGB", "L", "RGB"), strict=True)
        )
        if not composite.shape[:2] == mask.shape == real.shape[:2]:
            raise ValueError(f"{line}: its mask or photograph is of another size.")
        yield Triple(name, subset, composite, mask, real)
