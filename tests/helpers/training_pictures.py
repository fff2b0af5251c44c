"""Folders of training pictures made here, and a small training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from glihamba_training.run.recipe import Recipe

SMALL = {"width": 8, "encoder": [1, 1, 1]}
RECIPE = Recipe(
    model="glihamba-tiny",
    size=32,
    batch=4,
    steps=6,
    warmup=2,
    checkpoint_every=2,
    pictures_every=4,
    config=SMALL,
)


def scene(seed: int, height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A textured ground with a disc of another colour, and the disc's mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    mask = (y - height * rng.uniform(0.4, 0.6)) ** 2 + (x - width * rng.uniform(0.4, 0.6)) ** 2 < (
        height / 4
    ) ** 2
    ground, paint = rng.uniform(0.2, 0.9, (2, 3))
    pixels = np.where(mask[..., None], paint, ground) + 0.1 * np.sin(x / 5)[..., None]
    return (pixels.clip(0, 1) * 255).astype(np.uint8), mask.astype(np.uint8) * 255


def iharmony4(root: Path, count: int = 6, split: str = "train") -> Path:
    """A copy of iHarmony4 with `count` composites of HFlickr, two of each photograph."""
    subset = root / "HFlickr"
    for folder in ("composite_images", "masks", "real_images"):
        (subset / folder).mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        number, variant = divmod(index, 2)
        real, mask = scene(number)
        composite = real.copy()
        composite[mask > 0] = (composite[mask > 0] * (0.6 + 0.2 * variant)).astype(np.uint8)
        Image.fromarray(real).save(subset / "real_images" / f"f{number}.jpg", quality=95)
        Image.fromarray(mask).save(subset / "masks" / f"f{number}_1.png")
        name = f"f{number}_1_{variant + 1}.jpg"
        Image.fromarray(composite).save(subset / "composite_images" / name, quality=95)
        lines.append(f"HFlickr/composite_images/{name}")
    (root / f"IHD_{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def photographs(root: Path, count: int = 8) -> Path:
    """A plain folder: JPEGs with their masks beside them."""
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels, mask = scene(index)
        Image.fromarray(pixels).save(root / f"p{index}.jpg", quality=95)
        Image.fromarray(mask).save(root / f"p{index}.mask0.png")
    return root


def cut_short(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
