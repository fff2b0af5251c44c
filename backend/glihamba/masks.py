"""Read the coverage from the pixels of a mask file, for the command line and for training.

White is the object. The alpha channel is the mask where it has the object's shape. It has not if it is opaque
almost everywhere, or if what it shows is itself drawn in black and white, like a layer that is smaller than
its canvas: then the brightness of what it shows is the mask. An integer mask whose greatest value is 1 is a
label map, as segmentation tools write it. Values of 10, 12 or 14 bits in 16, and floats up to 255 or 65535,
are spread to full scale. Photographs, and masks that are black almost everywhere, are refused, because labels
of several objects cannot be told from very faint coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAINT = 0.02  # of full scale; a mask whose greatest value is below it is refused, unless it is a label map
WEAK = 0.5  # of full scale; a mask whose greatest value is below it corrects so little that it is said
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # weights of R, G and B (ITU-R BT.709)
_EXTREME = 0.1  # of full scale; how near to black or white a drawn mask is
_DRAWN, _SEEN, _OPAQUE = 0.9, 0.005, 0.999  # shares of the pixels
_FEWER_BITS = {np.dtype(np.uint16): (1023, 4095, 16383), np.dtype(np.float32): (255, 65535)}
_COLOURFUL, _COLOURS = 0.15, 200  # difference of the channels; distinct colours of a photograph


class FaintMask(ValueError):
    """A file that is no mask, or one that is black almost everywhere. `str(error)` says what to do."""


def coverage_in(
    pixels: NDArray[Any], name: str, note: Callable[[str], None] = lambda text: None
) -> NDArray[Any]:
    """Return the object's coverage in a mask.

    pixels: (H, W, C), uint8, uint16 or float32; gray, gray with alpha, RGB or RGB with alpha. Returns (H, W)
    of the same type, 0 to full scale; it may be 0 everywhere. `note` is told what a person should know of it.
    Raises FaintMask, which calls the mask `name`.
    """
    is_float = pixels.dtype.kind == "f"
    full = 1.0 if is_float else float(np.iinfo(pixels.dtype).max)
    mask = _shape_in(pixels, full, name)
    strongest = float(mask.max())
    if strongest == 1 and not is_float:
        return np.ascontiguousarray(mask * pixels.dtype.type(full))
    if strongest in _FEWER_BITS.get(pixels.dtype, ()):
        note(f"The mask {name} ends at {strongest:g}, so its values were spread to {full:g}.")
        spread = mask.astype(np.float64) * (full / strongest)
        return np.ascontiguousarray(spread if is_float else np.rint(spread), pixels.dtype)
    if strongest > 1.5 * full:
        raise FaintMask(
            f"The mask {name} has values up to {strongest:g}, but {full:g} is white: divide them."
        )
    if 0 < strongest < FAINT * full:
        raise FaintMask(
            f"The mask {name} is black almost everywhere (its brightest value is {strongest:g} of {full:g}):"
            " paint the object white."
        )
    if 0 < strongest < WEAK * full:
        note(
            f"The brightest value of the mask {name} is {strongest:g} of {full:g}, so the object is corrected"
            f" by {100 * strongest / full:.0f} % at most: paint it white for the whole correction."
        )
    return np.ascontiguousarray(mask)


def _shape_in(pixels: NDArray[Any], full: float, name: str) -> NDArray[Any]:
    """What of the pixels (H, W, C) is the mask: alpha, or the brightness of what it shows, (H, W)."""
    channels = pixels.shape[2]
    brightness = pixels[:, :, 0] if channels < 3 else _brightness(pixels[:, :, :3])
    if channels in (2, 4) and (pixels[:, :, -1] < full).any():
        alpha = pixels[:, :, -1]
        shown = alpha >= full / 2
        if not _is_drawn(brightness[shown], full) and shown.mean() < _OPAQUE:
            return alpha
        covered = brightness.astype(np.float32) * (alpha.astype(np.float32) / np.float32(full))
        return (covered if pixels.dtype.kind == "f" else np.rint(covered)).astype(pixels.dtype)
    if channels >= 3:
        _refuse_photograph(pixels[:, :, :3], full, name)
    return brightness


def _brightness(colours: NDArray[Any]) -> NDArray[Any]:
    found = colours.astype(np.float32) @ LUMA
    return found if colours.dtype.kind == "f" else np.rint(found).astype(colours.dtype)


def _is_drawn(brightness: NDArray[Any], full: float) -> bool:
    """Whether the values are black and white, both of them, with little between."""
    if not brightness.size:
        return False
    black = float((brightness <= _EXTREME * full).mean())
    white = float((brightness >= (1 - _EXTREME) * full).mean())
    return min(black, white) > _SEEN and black + white > _DRAWN


def _refuse_photograph(colours: NDArray[Any], full: float, name: str) -> None:
    """Raise FaintMask for a picture of many colours, whose brightness says nothing of an object."""
    height, width, _ = colours.shape
    few = colours[:: max(1, height // 200), :: max(1, width // 200)].reshape(-1, 3)
    spread = few.max(axis=1).astype(np.float32) - few.min(axis=1)
    colourful = few[spread > _COLOURFUL * full]
    if len(np.unique(colourful, axis=0)) > _COLOURS:
        raise FaintMask(
            f"The mask {name} is a colour picture: give one in black and white, the object white."
        )
