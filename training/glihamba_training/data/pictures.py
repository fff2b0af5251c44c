"""Picture files as arrays: whatever their mode, and one sentence for what is wrong with them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from glihamba.errors import BadRequest

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class BadPicture(BadRequest, ValueError):
    """A picture that can't be used; `str(error)` names it and says what to do."""


def read_photo(
    source: Path | bytes, where: str, side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """A photograph of any mode (gray, palette, 16 bits, with transparency) as RGB, turned upright; its size.

    side: what it will be resized to, so that a large JPEG need not be decoded in full; the size returned is
    the file's. Raises BadPicture, which calls it `where`.
    """
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        size = image.size
        if side is not None:
            image.draft(None, (4 * side, 4 * side))
        image.load()
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
    except _UNREADABLE as error:
        raise BadPicture(f"{where} is cut short or no picture: replace it or take it out.") from error
    return upright, size[::-1] if turned else size


def read_mask(source: Path | bytes, where: str, size: tuple[int, int]) -> Image.Image:
    """A mask as coverage, 0 to 255, of its photograph's `size` (width, height).

    Raises BadPicture, which calls it `where`, for another size and for an empty foreground.
    """
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        mask = _eight_bits(image).convert("L")
    except _UNREADABLE as error:
        raise BadPicture(f"{where} is cut short or no picture: replace it or take it out.") from error
    if mask.size != size:
        raise BadPicture(
            f"{where} is {mask.width} x {mask.height} pixels and its photograph {size[0]} x {size[1]}:"
            " give both one size."
        )
    most = mask.getextrema()[1]
    if not most:
        raise BadPicture(f"{where} has an empty foreground: draw its object in white, or take it out.")
    return mask.point(lambda value: value * 255) if most == 1 else mask


def squashed(image: Image.Image, side: int) -> np.ndarray:
    """Resized to a square by averaging: (side, side, 3) or (side, side) uint8."""
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion clips what has 16 bits."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8))
    return image
