"""SSIM as torchmetrics computes it by default, in a seventh of its time on large pictures.

torchmetrics convolves with the whole Gaussian window of 11 x 11, fifteen planes at once: that takes over a
minute and gigabytes for the pictures of HAdobe5k. Here the window is separable, and strips stay in the
processor's cache. Where the two pictures are equal, as they mostly are outside a mask, the similarity is 1
without computing it. `tests/training/test_protocols.py` compares the two. `ssim_7x7` is scikit-image's.
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

MARGIN = 5  # pixels from the middle of the window to its edge
_STRIP = 32  # rows
_SIDE = 7  # pixels of the uniform window
_RANGE = 255.0
_C1, _C2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
_WEIGHTS = np.exp(-((np.arange(-MARGIN, MARGIN + 1) / 1.5) ** 2) / 2).astype(np.float32)
_WEIGHTS /= _WEIGHTS.sum()


def ssim(got: Tensor, wanted: Tensor) -> float:
    """Mean SSIM (Wang et al. 2004) of (1,3,H,W), 0..255; NaN if a side is under six pixels."""
    a, b = got[0].numpy(), wanted[0].numpy()
    if min(a.shape[1:]) <= MARGIN:
        return float("nan")
    different = (a != b).any(0)
    if not different.any():
        return 1.0
    (top, bottom), (left, right) = (_touched(different.any(axis)) for axis in (1, 0))
    border = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    a, b = (np.pad(plane, border, mode="reflect") for plane in (a, b))
    lost = 0.0
    for first in range(top, bottom, _STRIP):
        last = min(first + _STRIP, bottom)
        part = np.s_[:, first : last + 2 * MARGIN, left : right + 2 * MARGIN]
        lost += float((1 - _map(a[part], b[part])).sum(dtype=np.float64))
    return 1 - lost / got.numel()


def ssim_7x7(got: Tensor, wanted: Tensor) -> float:
    """Mean SSIM of (1,3,H,W), 0..255, as scikit-image has it by default; NaN if a side is under 7 pixels.

    Windows of 7 x 7 lie wholly in the picture, every pixel counts alike, variances are those of samples.
    """
    if min(got.shape[2:]) < _SIDE:
        return float("nan")
    a, b = got.double(), wanted.double()
    pixels = _SIDE**2
    mean_a, mean_b, squares, product = (F.avg_pool2d(x, _SIDE, 1) for x in (a, b, a * a + b * b, a * b))
    unbiased = pixels / (pixels - 1)
    means, mean_squares = mean_a * mean_b, mean_a.square() + mean_b.square()
    alike = (2 * means + _C1) * (2 * unbiased * (product - means) + _C2)
    return float((alike / ((mean_squares + _C1) * (unbiased * (squares - mean_squares) + _C2))).mean())


def _touched(different: np.ndarray) -> tuple[int, int]:
    """First and one after the last pixel along one side whose window holds one that differs."""
    where = np.flatnonzero(different)
    return max(int(where[0]) - MARGIN, 0), min(int(where[-1]) + MARGIN + 1, len(different))


def _map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3,h,w) twice -> (3, h-10, w-10): the similarity of each window."""
    mean_a, mean_b, squares, product = np.split(_blurred(np.concatenate((a, b, a * a + b * b, a * b))), 4)
    means, mean_squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    alike = (2 * means + _C1) * (2 * (product - means) + _C2)
    result: np.ndarray = alike / ((mean_squares + _C1) * (squares - mean_squares + _C2))
    return result


def _blurred(planes: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        planes = np.moveaxis(planes, axis, 1)
        size = planes.shape[1] - 2 * MARGIN
        total = planes[:, :size] * _WEIGHTS[0]
        term = np.empty_like(total)
        for offset, weight in enumerate(_WEIGHTS[1:], 1):
            total += np.multiply(planes[:, offset : offset + size], weight, out=term)
        planes = np.moveaxis(total, 1, axis)
    return planes
