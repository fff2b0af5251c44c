"""The inner loop of the correction: one tile of float32 planes through a colour transform.

`_correct` is the loop that numba compiles, `correct_slowly` its readable twin in NumPy, used where numba
is missing. Both work on the *residual* of the transform (transform minus identity), so that a transform
that changes nothing adds an exact zero.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glihamba.compiled import kept

Floats = NDArray[np.float32]
Kernel = Callable[[Floats, Floats, Floats, Floats, Floats, "NDArray[np.intp]", float, bool], None]

_log = logging.getLogger(__name__)


def correct_slowly(
    planes: Floats,
    weight: Floats,
    curve: Floats,
    affine: Floats,
    across: Floats,
    cuts: NDArray[np.intp],
    scale: float,
    whole: bool,
) -> None:
    """planes (3,h,w) += weight (h,w) * scale * residual(clip(planes / scale, 0, 1)), in place, float32.

    curve: (3,6), the residual's factors of rr, gg, bb, rg, rb, gb. affine: (h,3,4,n), each row's factors
    of (r, g, b, 1) at the n >= 2 columns of the grid. across: (w,), each pixel's place among those columns,
    0 to n - 1, rising. cuts: (n,), where the pixels between columns i and i + 1 begin, then w.
    scale: the sample value that means 1. For `whole` numbers a colour is not moved beyond black or white
    before it is weighed, as an editor that mixes it into its scene cannot either; and results are raised by
    a half, so that the cast to integers that follows rounds.
    """
    r, g, b = colours = np.clip(planes * np.float32(1 / scale), 0, 1)
    squares = np.stack((r * r, g * g, b * b, r * g, r * b, g * b))
    cell = np.minimum(across.astype(np.intp), affine.shape[3] - 2)
    part = across - cell.astype(np.float32)
    local = affine[..., cell] + (affine[..., cell + 1] - affine[..., cell]) * part
    for channel in range(3):
        change = np.tensordot(curve[channel], squares, 1) + local[:, channel, 3]
        for k in range(3):
            change += local[:, channel, k] * colours[k]
        if whole:
            change = np.clip(change, -colours[channel], 1 - colours[channel])
        planes[channel] += weight * np.float32(scale) * change
    if whole:
        np.clip(planes + np.float32(0.5), 0, np.float32(scale + 0.75), out=planes)


def _correct(
    planes: Any, weight: Any, curve: Any, affine: Any, across: Any, cuts: Any, scale: float, whole: bool
) -> None:
    """As `correct_slowly`: the run between two grid columns is one branch-free loop, which vectorises."""
    zero, one = np.float32(0), np.float32(1)
    unit, full = np.float32(1 / scale), np.float32(scale)
    bias = np.float32(0.5) if whole else zero
    low = zero if whole else np.float32(-np.inf)
    high = one if whole else np.float32(np.inf)
    least, most = low, np.float32(scale + 0.75) if whole else high
    r_rr, r_gg, r_bb, r_rg, r_rb, r_gb = curve[0]
    g_rr, g_gg, g_bb, g_rg, g_rb, g_gb = curve[1]
    b_rr, b_gg, b_bb, b_rg, b_rb, b_gb = curve[2]
    for y in range(weight.shape[0]):
        for cell in range(affine.shape[3] - 1):
            here = affine[y, :, :, cell]
            step = affine[y, :, :, cell + 1] - here
            (r_r, r_g, r_b, r_1), (g_r, g_g, g_b, g_1), (b_r, b_g, b_b, b_1) = here
            (dr_r, dr_g, dr_b, dr_1), (dg_r, dg_g, dg_b, dg_1), (db_r, db_g, db_b, db_1) = step
            start, stop, origin = cuts[cell], cuts[cell + 1], np.float32(cell)
            reds, greens, blues = (
                planes[0, y, start:stop],
                planes[1, y, start:stop],
                planes[2, y, start:stop],
            )
            weights, places = weight[y, start:stop], across[start:stop]
            for x in range(reds.size):
                t = places[x] - origin
                r = min(max(reds[x] * unit, zero), one)
                g = min(max(greens[x] * unit, zero), one)
                b = min(max(blues[x] * unit, zero), one)
                w = weights[x] * full
                red = (
                    (r_1 + dr_1 * t)
                    + r * ((r_r + dr_r * t) + r_rr * r + r_rg * g + r_rb * b)
                    + g * ((r_g + dr_g * t) + r_gg * g + r_gb * b)
                    + b * ((r_b + dr_b * t) + r_bb * b)
                )
                green = (
                    (g_1 + dg_1 * t)
                    + r * ((g_r + dg_r * t) + g_rr * r + g_rg * g + g_rb * b)
                    + g * ((g_g + dg_g * t) + g_gg * g + g_gb * b)
                    + b * ((g_b + dg_b * t) + g_bb * b)
                )
                blue = (
                    (b_1 + db_1 * t)
                    + r * ((b_r + db_r * t) + b_rr * r + b_rg * g + b_rb * b)
                    + g * ((b_g + db_g * t) + b_gg * g + b_gb * b)
                    + b * ((b_b + db_b * t) + b_bb * b)
                )
                red = min(max(red, low - r), high - r)
                reds[x] = min(max(reds[x] + w * red + bias, least), most)
                green = min(max(green, low - g), high - g)
                greens[x] = min(max(greens[x] + w * green + bias, least), most)
                blue = min(max(blue, low - b), high - b)
                blues[x] = min(max(blues[x] + w * blue + bias, least), most)


@functools.lru_cache(maxsize=1)
def fastest() -> Kernel:
    """The fastest kernel this machine has; compiled once, then kept on disk by numba."""
    try:
        import numba
    except ImportError as error:
        _log.warning("numba is missing (%s): the correction is applied by NumPy, more slowly.", error)
        return correct_slowly
    f32 = numba.float32
    signature = numba.void(
        f32[:, :, ::1],
        f32[:, ::1],
        f32[:, ::1],
        f32[:, :, :, ::1],
        f32[::1],
        numba.intp[::1],
        numba.float64,
        numba.boolean,
    )
    return kept(_correct, signature, nogil=True, fastmath={"contract", "nnan"}, error_model="numpy")
