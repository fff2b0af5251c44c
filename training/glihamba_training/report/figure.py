"""The papers' comparison pictures: a row for each picture, a column for each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from glihamba.networks.base import Harmonizer
from glihamba.pipeline.harmonize import harmonize
from glihamba_training.data.shown import Shown

_GAP, _HEAD = 6, 26  # pixels between cells, and above the columns
_OUTLINE = (255, 214, 0)


def harmonized(picture: Shown, network: Harmonizer) -> np.ndarray:
    """(H,W,3) uint8, at the composite's own size."""
    return harmonize(picture.composite, picture.mask, network).pixels


def figure(
    pictures: Sequence[Shown],
    methods: Mapping[str, Harmonizer],
    side: int = 256,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Image.Image:
    """The grid: composite with the object's outline, mask, each method's answer, the truth if any has one.

    side: of a cell, in pixels; pictures keep their shape.
    """
    truth = any(picture.real is not None for picture in pictures)
    columns = ["composite", "mask", *methods, *(["real"] if truth else [])]
    grid = Image.new(
        "RGB", (len(columns) * (side + _GAP) + _GAP, len(pictures) * (side + _GAP) + _GAP + _HEAD), "white"
    )
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(size=14)
    for column, name in enumerate(columns):
        left = _GAP + column * (side + _GAP)
        draw.text((left + side // 2, _HEAD // 2), _short(name, side, font), "black", font, anchor="mm")
    for row, picture in enumerate(pictures):
        cells = [_outlined(picture, side), np.repeat(picture.mask[..., None], 3, 2)]
        cells += [harmonized(picture, network) for network in methods.values()]
        if truth:
            cells.append(picture.real if picture.real is not None else np.full_like(picture.composite, 255))
        for column, pixels in enumerate(cells):
            cell = Image.fromarray(pixels)
            cell.thumbnail((side, side), Image.Resampling.LANCZOS)
            left, top = _GAP + column * (side + _GAP), _GAP + _HEAD + row * (side + _GAP)
            grid.paste(cell, (left + (side - cell.width) // 2, top + (side - cell.height) // 2))
        progress(row + 1, len(pictures))
    return grid


def _outlined(picture: Shown, side: int) -> np.ndarray:
    """The composite, small, with the object's outline."""
    small, mask = Image.fromarray(picture.composite), Image.fromarray(picture.mask)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    inside = np.asarray(mask.resize(small.size, Image.Resampling.BILINEAR)) > 127
    around = np.pad(inside, 1)
    everywhere = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    pixels = np.array(small)
    pixels[inside & ~everywhere] = _OUTLINE
    return pixels


def _short(name: str, side: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a name that fits above a cell: of a path, what tells it from others stands last."""
    while font.getlength(name) > side and len(name) > 4:
        name = "…" + name.lstrip("…")[1:]
    return name
