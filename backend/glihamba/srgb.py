"""The sRGB transfer function (IEC 61966-2-1), for numpy arrays and torch tensors.

Both functions are odd and cover all real numbers, so that values outside [0, 1] survive.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

import numpy as np

Values = TypeVar("Values", bound=Any)
"""A numpy array or a torch tensor of floats. The result has the same class, type and shape."""


def linear_to_srgb(linear: Values) -> Values:
    """Encode linear light, in which 1 is white, as sRGB values, in which 1 is white too."""
    lib = _library(linear)
    size = abs(linear)
    # Clipped, because the gradient of the power would be infinite at 0, although the straight line is taken.
    curve = 1.055 * lib.clip(size, 0.0031308, None) ** (1 / 2.4) - 0.055
    encoded: Values = lib.copysign(lib.where(size <= 0.0031308, 12.92 * size, curve), linear)
    return encoded


def srgb_to_linear(encoded: Values) -> Values:
    """Decode sRGB values to linear light. The inverse of `linear_to_srgb`."""
    lib = _library(encoded)
    size = abs(encoded)
    curve = ((size + 0.055) / 1.055) ** 2.4
    linear: Values = lib.copysign(lib.where(size <= 0.04045, size / 12.92, curve), encoded)
    return linear


def _library(values: object) -> Any:
    """Return numpy for an array and torch for a tensor. An array does not import torch."""
    return np if isinstance(values, np.ndarray | np.generic) else importlib.import_module("torch")
