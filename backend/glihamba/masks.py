"""Read the coverage from the pixels of a mask file, for the command line and for training.

The alpha channel is the mask, unless it is opaque everywhere. Then the brightness is the mask, and white is
the object. An integer mask whose greatest value is 1 is a label map, as segmentation tools write it, and 1 is
the object. Any other mask that is black almost everywhere is refused, because labels of several objects
cannot be told from very faint coverage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FAINT = 0.02  # of full scale; a mask whose greatest value is below it is refused, unless it is a label map
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # weights of R, G and B (ITU-R BT.709)


class FaintMask(ValueError):
    """A mask is black almost everywhere. `str(error)` names it and says what to do."""


def coverage_in(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the object's coverage in a mask.

    pixels: (H, W, C), uint8, uint16 or float32; gray, gray with alpha, RGB or RGB with alpha. Returns (H, W)
    of the same type, 0 to full scale; it may be 0 everywhere. Raises FaintMask, which calls the mask `name`.
    """
    is_float = pixels.dtype.kind == "f"
    full = 1.0 if is_float else float(np.iinfo(pixels.dtype).max)
    channels = pixels.shape[2]
    if channels in (2, 4) and (pixels[:, :, -1] < full).any():
        mask = pixels[:, :, -1]
    elif channels < 3:
        mask = pixels[:, :, 0]
    else:
        brightness = pixels[:, :, :3].astype(np.float32) @ LUMA
        mask = brightness if is_float else np.rint(brightness).astype(pixels.dtype)
    strongest = float(mask.max())
    if strongest == 1 and not is_float:
        return np.ascontiguousarray(mask * pixels.dtype.type(full))
    if 0 < strongest < FAINT * full:
        raise FaintMask(
            f"The mask {name} is black almost everywhere (its brightest value is {strongest:g} of {full:g}):"
            " paint the object white."
        )
    return np.ascontiguousarray(mask)
