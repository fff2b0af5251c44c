"""Sample types.

Pixels are uint8, uint16 or float32; inside the pipeline a sample is a float32 whose nominal range is
0 to 1. Values beyond it are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Floats = NDArray[np.float32]

SAMPLE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))


def full_scale(dtype: np.dtype[Any]) -> float:
    """The sample value that means 1.0: 255, 65535 or 1."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def to_float(samples: Pixels) -> Floats:
    """uint8 | uint16 | float32 of any shape -> float32, full scale at 1; not clipped."""
    floats = samples.astype(np.float32)
    if samples.dtype.kind == "u":
        floats *= np.float32(1 / full_scale(samples.dtype))
    return floats


def from_float(floats: Floats, dtype: np.dtype[Any]) -> Pixels:
    """float32 -> `dtype`: integers are rounded to the nearest and clipped to their range, floats kept."""
    if dtype.kind != "u":
        return floats.astype(dtype)
    top = full_scale(dtype)
    return np.rint(np.clip(floats, 0, 1) * np.float32(top)).astype(dtype)


def coverage(mask: Pixels) -> Floats:
    """A mask's samples, of any of the three types, as coverage in [0,1]."""
    return np.clip(to_float(mask), 0, 1)
