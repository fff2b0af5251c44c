"""The sRGB curve (IEC 61966-2-1), for numpy arrays and torch tensors alike.

Both functions extend over all real numbers as odd functions, so that values outside 0 to 1 survive.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

import numpy as np

Values = TypeVar("Values", bound=Any)
"""A numpy array or a torch tensor of floats; what comes back is of the same kind, type and shape."""


def linear_to_srgb(linear: Values) -> Values:
    """Light, 1 for white, to encoded values."""
    lib = _library(linear)
    size = abs(linear)
    # Clipped, because a tensor's gradient would be infinite at 0 even where the straight line is taken.
    curve = 1.055 * lib.clip(size, 0.0031308, None) ** (1 / 2.4) - 0.055
    encoded: Values = lib.copysign(lib.where(size <= 0.0031308, 12.92 * size, curve), linear)
    return encoded


def srgb_to_linear(encoded: Values) -> Values:
    """The inverse of `linear_to_srgb`."""
    lib = _library(encoded)
    size = abs(encoded)
    curve = ((size + 0.055) / 1.055) ** 2.4
    linear: Values = lib.copysign(lib.where(size <= 0.04045, size / 12.92, curve), encoded)
    return linear


def _library(values: object) -> Any:
    """numpy or torch; torch is not imported for numpy arrays."""
    return np if isinstance(values, np.ndarray | np.generic) else importlib.import_module("torch")
