"""The sums behind `colour_statistics` in one pass over the pixels, compiled by numba.

PyTorch's way writes 27 and 250 planes of weights to memory; here they stay in registers. Each picture has one
writer and one order of summation, so equal inputs give equal bits, whatever the number of threads.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from glihamba.compiled import kept

_log = logging.getLogger(__name__)

Kernel = Callable[..., None]

PARTS = 5  # weights: object, scene, surroundings, inner and outer rim
SUMS = 7  # the weight; it times each channel less a half; it times that squared
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


def _rims(mask: Any, inner: Any, outer: Any, radius: int) -> None:
    """As `colour_statistics.rims`, of one picture (H,W): a box filter by running sums, rows, then columns."""
    height, width = mask.shape
    one = np.float32(1)
    for y in range(height):  # sums in 64 bits: what is added and taken away again leaves nothing behind
        total, count = 0.0, min(radius, width)
        for x in range(count):
            total += mask[y, x]
        for x in range(width):
            if x + radius < width:
                total += mask[y, x + radius]
                count += 1
            if x > radius:
                total -= mask[y, x - radius - 1]
                count -= 1
            inner[y, x] = total / count
    column, count = np.zeros(width, np.float64), min(radius, height)
    for y in range(count):
        for x in range(width):
            column[x] += inner[y, x]
    for y in range(height):
        if y + radius < height:
            count += 1
            for x in range(width):
                column[x] += inner[y + radius, x]
        if y > radius:
            count -= 1
            for x in range(width):
                column[x] -= inner[y - radius - 1, x]
        share = 1 / count
        for x in range(width):
            outer[y, x] = column[x] * share
    for y in range(height):
        for x in range(width):
            soft = outer[y, x]
            inner[y, x] = (one - soft) * mask[y, x]
            outer[y, x] = soft * (one - mask[y, x])


def _node(value: Any, last: int) -> Any:
    """The node at or below a colour, 0 to `last` - 1, and the weights of it and of the next, at least 0."""
    zero, one = np.float32(0), np.float32(1)
    at = value * np.float32(last)
    node = 0
    if at > zero:  # not for a NaN, which has no integer
        node = int(min(at, np.float32(last - 1)))
    beyond = at - np.float32(node)
    return node, max(one - abs(beyond), zero), max(one - abs(beyond - one), zero)


def _sum_up(
    rgb: Any,
    mask: Any,
    around: Any,
    inner: Any,
    outer: Any,
    sums: Any,
    single: Any,
    joint: Any,
    radius: int,
    first: int,
    last: int,
) -> None:
    """rgb (B,3,H,W), mask and around (B,H,W). Writes inner and outer (B,H,W), and adds to sums (B,PARTS,
    SUMS) in float64, single (B,2,bins,3) and joint (B,2,n,n,n), object first, for pictures first to last.
    """
    height, width = mask.shape[1:]
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    single_last, joint_last = single.shape[2] - 1, joint.shape[2] - 1
    for b in range(first, last):
        _rims(mask[b], inner[b], outer[b], radius)
        for y in range(height):
            of_object, of_ring, within, beyond = mask[b, y], around[b, y], inner[b, y], outer[b, y]
            m0 = s0 = a0 = i0 = o0 = zero
            for x in range(width):
                m0 += of_object[x]
                s0 += one - of_object[x]
                a0 += of_ring[x]
                i0 += within[x]
                o0 += beyond[x]
            for part, weight in enumerate((m0, s0, a0, i0, o0)):
                sums[b, part, 0] += weight
            for c in range(3):
                plane = rgb[b, c, y]
                m1 = m2 = s1 = s2 = a1 = a2 = i1 = i2 = o1 = o2 = zero
                for x in range(width):
                    v = plane[x] - half
                    q = v * v
                    m1 += of_object[x] * v
                    m2 += of_object[x] * q
                    s1 += (one - of_object[x]) * v
                    s2 += (one - of_object[x]) * q
                    a1 += of_ring[x] * v
                    a2 += of_ring[x] * q
                    i1 += within[x] * v
                    i2 += within[x] * q
                    o1 += beyond[x] * v
                    o2 += beyond[x] * q
                for part, value in enumerate((m1, s1, a1, i1, o1)):
                    sums[b, part, 1 + c] += value
                for part, value in enumerate((m2, s2, a2, i2, o2)):
                    sums[b, part, 4 + c] += value
            for x in range(width):
                for part in range(2):
                    weight = one - of_object[x] if part else of_object[x]
                    if weight == zero:
                        continue
                    for c in range(3):
                        n, below, above = _node(rgb[b, c, y, x], single_last)
                        single[b, part, n, c] += weight * below
                        single[b, part, n + 1, c] += weight * above
                    r, r0, r1 = _node(rgb[b, 0, y, x], joint_last)
                    g, g0, g1 = _node(rgb[b, 1, y, x], joint_last)
                    u, u0, u1 = _node(rgb[b, 2, y, x], joint_last)
                    u0, u1 = weight * u0, weight * u1
                    cube = joint[b, part]
                    for dr, share in enumerate((r0, r1)):
                        low, high = share * g0, share * g1
                        cube[r + dr, g, u] += low * u0
                        cube[r + dr, g, u + 1] += low * u1
                        cube[r + dr, g + 1, u] += high * u0
                        cube[r + dr, g + 1, u + 1] += high * u1


def _kernel() -> Kernel:
    """`_sum_up`, compiled or loaded.

    numba looks for what it has kept by the values in a function's closure, too. Compiled helpers there would
    be others in each process, so `_sum_up` has no closure, and numba learns of its helpers by their names.
    """
    import numba
    from numba.extending import register_jitable

    for helper in (_rims, _node):
        register_jitable(**_OPTIONS)(helper)
    f32, f64 = numba.float32, numba.float64
    planes = f32[:, :, ::1]
    signature = numba.void(
        f32[:, :, :, ::1],
        *[planes] * 4,
        f64[:, :, ::1],
        f32[:, :, :, ::1],
        f32[:, :, :, :, ::1],
        *[numba.intp] * 3,
    )
    return kept(_sum_up, signature, nogil=True, **_OPTIONS)


@functools.lru_cache(maxsize=1)
def fastest() -> Kernel | None:
    """The kernel, compiled once and then kept on disk by numba; None where numba is missing."""
    try:
        return _kernel()
    except ImportError as error:
        _log.info("numba is missing (%s): PyTorch sums up the colours, more slowly.", error)
        return None
