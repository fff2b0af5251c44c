"""Compiled loops over pixels: bilinear crops, and composites by a table of colours.

They are in one file because numba keys its disk cache by the file that defines a function: what one of them
calls must not change without it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from glihamba.compiled import kept

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}}
_part = numba.njit(**_OPTIONS)  # called from a function below, and compiled into it
_compiling = threading.Lock()


def run(function: Callable[..., None], *arguments: Any) -> None:
    """Call `crop` or `composites` of this module, compiled for the arguments' types."""
    with _compiling:  # threads that begin together wait for one
        compiled = _compiled(function, tuple(map(numba.typeof, arguments)))
    compiled(*arguments)


@functools.cache
def _compiled(function: Callable[..., None], types: tuple[Any, ...]) -> Callable[..., None]:
    return kept(function, types, **_OPTIONS)


@_part
def _taps(index: int, size: int, side: int, scale: float, shift: float) -> Any:
    """The two picture pixels around an output pixel's centre, and the second's weight."""
    at = (((2 * index + 1) / size - 1) * scale + shift + 1) * side / 2 - 0.5
    at = min(max(at, 0.0), side - 1.0)
    first = int(at)
    return np.uintp(first), np.uintp(min(first + 1, side - 1)), np.float32(at - first)


def crop(pictures: Any, which: Any, theta: Any, out: Any) -> None:
    """pictures (N,S,S,C) uint8, which (B,), theta (B,2,3) -> out (B,C,size,size) float32 in [0,1]."""
    side, channels, size = pictures.shape[1], pictures.shape[3], out.shape[2]
    for b in range(len(which)):
        picture = pictures[which[b]]
        for y in range(size):
            y0, y1, down = _taps(y, size, side, theta[b, 1, 1], theta[b, 1, 2])
            for x in range(size):
                x0, x1, across = _taps(x, size, side, theta[b, 0, 0], theta[b, 0, 2])
                for c in range(channels):
                    above = (1 - across) * picture[y0, x0, c] + across * picture[y0, x1, c]
                    below = (1 - across) * picture[y1, x0, c] + across * picture[y1, x1, c]
                    out[b, c, y, x] = ((1 - down) * above + down * below) / np.float32(255)


def composites(
    photos: Any, masks: Any, photo_of: Any, chosen: Any, theta: Any, tables: Any, nodes: int,
    composite: Any, cover: Any, real: Any,
) -> None:  # fmt: skip
    """Crop, look the scene's and the object's colours up, and blend them by the mask.

    photos (P,S,S,3), masks (M,S,S) uint8; photo_of, chosen (B,) indices into them; theta (B,2,3);
    tables (B, nodes cubed, 6), the scene's colour first; out: composite, real (B,3,size,size) and
    cover (B,1,size,size), float32.
    """
    side, size = photos.shape[1], real.shape[2]
    one, levels = np.float32(1), np.float32(255)
    colour = np.empty(6, np.float32)
    columns, right = np.empty((2, size), np.uintp), np.empty(size, np.float32)
    for b in range(len(chosen)):
        photo, mask, table = photos[photo_of[b]], masks[chosen[b]], tables[b]
        for x in range(size):
            columns[0, x], columns[1, x], right[x] = _taps(x, size, side, theta[b, 0, 0], theta[b, 0, 2])
        for y in range(size):
            y0, y1, down = _taps(y, size, side, theta[b, 1, 1], theta[b, 1, 2])
            for x in range(size):
                x0, x1, across = columns[0, x], columns[1, x], right[x]
                w11, w10, w01 = down * across, down * (one - across), (one - down) * across
                w00 = one - w11 - w10 - w01
                n0, f0 = _node(w00, w01, w10, w11, photo, y0, y1, x0, x1, 0, nodes)
                n1, f1 = _node(w00, w01, w10, w11, photo, y0, y1, x0, x1, 1, nodes)
                n2, f2 = _node(w00, w01, w10, w11, photo, y0, y1, x0, x1, 2, nodes)
                m = (
                    w00 * mask[y0, x0] + w01 * mask[y0, x1] + w10 * mask[y1, x0] + w11 * mask[y1, x1]
                ) / levels
                _look_up(table, nodes, (n0 * nodes + n1) * nodes + n2, f0, f1, f2, colour, m > 0)
                m = min(m, one)  # the weights' rounding
                cover[b, 0, y, x] = m
                for c in range(3):
                    colour[c] = min(colour[c], one)
                    real[b, c, y, x] = composite[b, c, y, x] = colour[c]
                if m > 0:
                    for c in range(3):
                        thing = min(np.rint(colour[3 + c] * levels) / levels, one)
                        composite[b, c, y, x] = m * thing + (one - m) * colour[c]


@_part
def _node(
    w00: Any, w01: Any, w10: Any, w11: Any, photo: Any, y0: int, y1: int, x0: int, x1: int, c: int, nodes: int
) -> Any:
    """The cropped pixel's channel as the lattice's node below it and the way to the next."""
    value = w00 * photo[y0, x0, c] + w01 * photo[y0, x1, c] + w10 * photo[y1, x0, c] + w11 * photo[y1, x1, c]
    at = value * np.float32((nodes - 1) / 255.0)
    node = min(int(at), nodes - 2)
    return node, at - np.float32(node)


@_part
def _look_up(table: Any, nodes: int, at: int, f0: Any, f1: Any, f2: Any, colour: Any, both: bool) -> None:
    """Between the four nodes of the tetrahedron that the colour lies in, along the cell's diagonal."""
    step0, step1 = nodes * nodes, nodes
    # The way through the cell goes along its channels in falling order of `f`.
    if f0 >= f1:
        if f1 >= f2:
            high, middle, low, first, second = f0, f1, f2, step0, step0 + step1
        elif f0 >= f2:
            high, middle, low, first, second = f0, f2, f1, step0, step0 + 1
        else:
            high, middle, low, first, second = f2, f0, f1, 1, step0 + 1
    elif f0 >= f2:
        high, middle, low, first, second = f1, f0, f2, step1, step0 + step1
    elif f1 >= f2:
        high, middle, low, first, second = f1, f2, f0, step1, step1 + 1
    else:
        high, middle, low, first, second = f2, f1, f0, 1, step1 + 1
    w0, w1, w2, w3 = np.float32(1) - high, high - middle, middle - low, low
    # Unsigned: numba then spares itself the test for negative indices.
    a0, a1, a2, a3 = (
        np.uintp(at),
        np.uintp(at + first),
        np.uintp(at + second),
        np.uintp(at + step0 + step1 + 1),
    )
    for c in range(3):
        k = np.uintp(c)
        colour[c] = w0 * table[a0, k] + w1 * table[a1, k] + w2 * table[a2, k] + w3 * table[a3, k]
    if both:
        for c in range(3, 6):
            k = np.uintp(c)
            colour[c] = w0 * table[a0, k] + w1 * table[a1, k] + w2 * table[a2, k] + w3 * table[a3, k]
