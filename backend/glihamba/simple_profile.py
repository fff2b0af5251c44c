"""Colour profiles of curves and a matrix, evaluated in floats without a limit.

libvips, by LittleCMS, converts integers, and would round floats to them. Gray profiles and the RGB profiles
of working spaces are a curve for each channel and at most a matrix (ICC.1:2010, 8.3, 10.5 and 10.15), so they
can be followed beyond 0 and 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# XYZ under D50, as profiles have it, to linear sRGB (Bradford; sRGB's ICC primaries, inverted).
_TO_SRGB = np.linalg.inv(
    np.array(
        [
            [0.43607, 0.38515, 0.14307],
            [0.22249, 0.71687, 0.06061],
            [0.01392, 0.09708, 0.71410],
        ]
    )
)


@dataclass(frozen=True)
class Curve:
    """A channel's values to linear light: a table from 0 to 1, or a function of ICC's parametric kind.

    parameters: g, a, b, c, d, e, f of `(a x + b)^g + e` from d on, and `c x + f` below. Below 0 the curve is
    as above 0, with the other sign. Above 1 a table goes on as it ends.
    """

    parameters: tuple[float, ...] = ()
    table: NDArray[Any] | None = None

    def linear(self, values: Any) -> NDArray[Any]:
        x = np.abs(values)
        if self.table is not None:
            steps = np.linspace(0, 1, len(self.table))
            found = np.interp(x, steps, self.table) + np.maximum(x - 1, 0) * _slope(steps, self.table)
        else:
            g, a, b, c, d, e, f = self.parameters
            found = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
        return np.asarray(np.copysign(found, values))

    def encoded(self, light: Any) -> NDArray[Any]:
        """The inverse of `linear`."""
        y = np.abs(light)
        if self.table is not None:
            steps = np.linspace(0, 1, len(self.table))
            beyond = np.maximum(y - self.table[-1], 0) / _slope(steps, self.table)
            found = np.interp(y, self.table, steps) + beyond
        else:
            g, a, b, c, d, e, f = self.parameters
            below = (y - f) / c if c else np.zeros_like(y)
            found = np.where(y >= (a * d + b) ** g + e, (np.maximum(y - e, 0) ** (1 / g) - b) / a, below)
        return np.asarray(np.copysign(found, light))


def _slope(steps: NDArray[Any], table: NDArray[Any]) -> float:
    """How a table ends."""
    return max(float((table[-1] - table[-2]) / (steps[-1] - steps[-2])), 1e-3)


@dataclass(frozen=True)
class SimpleProfile:
    """curves: one, or three. matrix: linear light to linear sRGB, (3, 3); None for gray."""

    curves: tuple[Curve, ...]
    matrix: NDArray[Any] | None

    def to_srgb(self, pixels: NDArray[Any]) -> Floats:
        """(H, W, 1 or 3) floats, full scale 1, as linear sRGB (H, W, 3); not clipped."""
        light = self._light(pixels)
        if self.matrix is None:
            return np.repeat(light, 3, axis=2).astype(np.float32)
        return (light @ self.matrix.T).astype(np.float32)

    def from_srgb(self, linear: NDArray[Any], luma: NDArray[Any]) -> Floats:
        """The inverse of `to_srgb`. luma: the weights (3,) that make gray of colours."""
        if self.matrix is None:
            light = (linear.astype(np.float64) @ luma.astype(np.float64))[:, :, None]
        else:
            light = linear.astype(np.float64) @ np.linalg.inv(self.matrix).T
        channels = [curve.encoded(light[:, :, at]) for at, curve in enumerate(self.curves)]
        return np.stack(channels, axis=2).astype(np.float32)

    def _light(self, pixels: NDArray[Any]) -> NDArray[Any]:
        values = pixels.astype(np.float64)
        return np.stack([curve.linear(values[:, :, at]) for at, curve in enumerate(self.curves)], axis=2)


def space_of(profile: bytes) -> Literal["gray", "rgb", ""]:
    """Which values a profile is for, if they are gray or RGB."""
    spaces: dict[bytes, Literal["gray", "rgb"]] = {b"GRAY": "gray", b"RGB ": "rgb"}
    return spaces.get(profile[16:20], "")


def parsed(profile: bytes) -> SimpleProfile | None:
    """The profile, if it is one of curves and a matrix; None for another kind or a damaged one."""
    try:
        tags = _tags(profile)
        if space_of(profile) == "gray":
            return SimpleProfile((_curve(tags[b"kTRC"]),), None)
        if space_of(profile) != "rgb" or b"A2B0" in tags:
            return None
        curves = tuple(_curve(tags[name + b"TRC"]) for name in (b"r", b"g", b"b"))
        columns = [_xyz(tags[name + b"XYZ"]) for name in (b"r", b"g", b"b")]
        matrix = _TO_SRGB @ np.array(columns).T
        np.linalg.inv(matrix)
        return SimpleProfile(curves, matrix)
    except (KeyError, ValueError, ArithmeticError, struct.error, np.linalg.LinAlgError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack(">I", profile[128:132])
    tags = {}
    for at in range(132, 132 + 12 * min(count, 100), 12):
        name, offset, size = struct.unpack(">4sII", profile[at : at + 12])
        tags[name] = profile[offset : offset + size]
    return tags


def _xyz(tag: bytes) -> list[float]:
    if tag[:4] != b"XYZ ":
        raise ValueError
    return [number / 65536 for number in struct.unpack(">3i", tag[8:20])]


def _curve(tag: bytes) -> Curve:
    """A `curv` or `para` tag. Raises ValueError for a curve that does not rise."""
    if tag[:4] == b"para":
        (kind,) = struct.unpack(">H", tag[8:10])
        count = (1, 3, 4, 5, 7)[kind] if kind < 5 else 0
        numbers = [number / 65536 for number in struct.unpack(f">{count}i", tag[12 : 12 + 4 * count])]
        return _checked(Curve(_parameters(numbers)))
    if tag[:4] != b"curv":
        raise ValueError
    (count,) = struct.unpack(">I", tag[8:12])
    if count < 2:
        gamma = struct.unpack(">H", tag[12:14])[0] / 256 if count else 1.0
        return _checked(Curve(_parameters([gamma])))
    table = np.frombuffer(tag, ">u2", count, 12).astype(np.float64) / 65535
    return _checked(Curve(table=table))


def _parameters(n: list[float]) -> tuple[float, ...]:
    """ICC's five kinds of parametric curve as the last of them: g, a, b, c, d, e, f."""
    if len(n) == 1:
        return (n[0], 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if len(n) == 3:
        return (*n, 0.0, -n[2] / n[1], 0.0, 0.0)
    if len(n) == 4:
        return (*n[:3], 0.0, -n[2] / n[1], n[3], n[3])
    return (*n, 0.0, 0.0) if len(n) == 5 else tuple(n)


def _checked(curve: Curve) -> Curve:
    if curve.table is None and curve.parameters[0] <= 0:
        raise ValueError
    light = curve.linear(np.linspace(0, 1, 257))
    if not np.isfinite(light).all() or light[-1] <= light[0] or (np.diff(light) < 0).any():
        raise ValueError
    return curve
