"""Small scenes and masks that jobs are made of, for the tests of the engine and of the daemon."""

from __future__ import annotations

import numpy as np


def picture(height: int = 40, width: int = 60, channels: int = 3, kind: str = "uint8") -> np.ndarray:
    """A scene with a gradient and some noise, at the full scale of `kind`."""
    random = np.random.default_rng(7)
    ramp = np.linspace(0.2, 0.8, width)[None, :, None] * np.linspace(1, 0.5, channels)
    pixels = np.clip(ramp + random.normal(0, 0.05, (height, width, channels)), 0, 1)
    return scaled(pixels, kind)


def object_mask(height: int = 40, width: int = 60, kind: str = "uint8") -> np.ndarray:
    """A rectangle in the middle, with a soft edge."""
    mask = np.zeros((height, width))
    mask[height // 4 : height // 2, width // 4 : width // 2] = 1
    mask[height // 4, width // 4 : width // 2] = 0.5
    return scaled(mask, kind)


def scaled(pixels: np.ndarray, kind: str) -> np.ndarray:
    if kind == "float32":
        return pixels.astype("<f4")
    return np.round(pixels * np.iinfo(kind).max).astype(kind)
