"""Photographs and masks of any mode, read from files; each error is one sentence that names the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from glihamba.errors import BadRequest
from glihamba.masks import FaintMask, coverage_in

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
RESAMPLING = Image.Resampling.BILINEAR
"""How iHarmony4's pictures are resized, to train on and to score: bilinear, which has Pillow's antialias."""
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class BadPicture(BadRequest, ValueError):
    """A picture that can't be used; `str(error)` names it and says what to do."""


def read_photo(
    source: Path | bytes, where: str, side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """A photograph of any mode (gray, palette, 16 bits, with transparency) as upright RGB, and its full size.

    side: what it will be resized to, so that a large JPEG need not be decoded in full. Raises BadPicture,
    which calls the photograph `where`.
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
        raise BadPicture(f"{where} is cut short or not a picture: replace it or take it out.") from error
    return upright, size[::-1] if turned else size


def read_mask(source: Path | bytes, where: str, size: tuple[int, int]) -> Image.Image:
    """A mask as 8-bit coverage, 0 to 255, of its photograph's `size` (width, height).

    `glihamba.masks` says how a file's pixels become coverage. Raises BadPicture, which calls the mask
    `where`, for another size, for an empty foreground and for a mask that is too faint.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            pixels = _samples(image)
    except _UNREADABLE as error:
        raise BadPicture(f"{where} is cut short or not a picture: replace it or take it out.") from error
    height, width = pixels.shape[:2]
    if (width, height) != size:
        raise BadPicture(
            f"{where} is {width} x {height} pixels and its photograph {size[0]} x {size[1]}:"
            " give both one size."
        )
    try:
        coverage = coverage_in(pixels, where)
    except FaintMask as error:
        raise BadPicture(str(error)) from None
    if not coverage.any():
        raise BadPicture(f"{where} has an empty foreground: draw its object in white, or take it out.")
    if coverage.dtype == np.uint16:
        return Image.fromarray((coverage // 257).astype(np.uint8))
    if coverage.dtype == np.float32:
        return Image.fromarray((coverage.clip(0, 1) * 255).round().astype(np.uint8))
    return Image.fromarray(coverage)


def squashed(
    image: Image.Image, side: int, resampling: Image.Resampling = Image.Resampling.BOX
) -> np.ndarray:
    """Resized to a square, by averaging unless told otherwise: (side, side, 3) or (side, side) uint8."""
    return np.asarray(image.resize((side, side), resampling))


def _samples(image: Image.Image) -> np.ndarray:
    """A mask's pixels (H, W, 1 to 4): gray or RGB, with alpha if there is any; uint8, uint16 or float32."""
    if image.mode.startswith("I"):
        pixels = np.asarray(image).clip(0, 65535).astype(np.uint16)
    elif image.mode == "F":
        pixels = np.asarray(image)
    else:
        transparent = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA")
        gray = image.mode in ("1", "L", "LA", "La")
        pixels = np.asarray(image.convert({
            (True, True): "LA", (True, False): "L", (False, True): "RGBA", (False, False): "RGB",
        }[gray, transparent]))  # fmt: skip
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit gray image in 8 bits; Pillow's own conversion would clip it."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8))
    return image
