"""The linear filter that comes nearest to a correction: what GIMP's own filters can do.

A filter works in linear light: out = gains * (r, g, b) + offset. It is fitted so that sRGB-encoded colours
are right, by least squares whose weights follow the slope of sRGB's curve, found anew in each round. Standard
library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import NamedTuple

MOST_COLOURS = 1500  # which bounds the time to a few hundredths of a second
GOOD = 2.0  # levels of 255, root mean square: what is more is said to the person
_ROUNDS = 3
_NEAR_IDENTITY = 1e-5  # of the squared errors: what the colours leave open is left as it was

Colour = Sequence[float]


class Fit(NamedTuple):
    """A filter: three rows of the gains of r, g and b and, if it has one, the offset."""

    rows: tuple[tuple[float, ...], ...]
    levels: float
    """How far it is from the correction: root mean square over the colours, in levels of 255."""


def best(before: bytes, after: bytes, *, offsets: bool = True) -> Fit:
    """The filter that turns the colours `before` into those `after`; both RGB, 8 bits a sample, sRGB.

    offsets: whether there is a filter that has them. One without them, whose nine gains a person can read,
    is taken where it is good.
    """
    step = max(1, len(before) // 3 // MOST_COLOURS)
    chosen = [slice(at, at + 3) for at in range(0, len(before) // 3 * 3, 3 * step)]
    pairs = [before[part] for part in chosen], [after[part] for part in chosen]
    gains = fitted(*pairs, offsets=False)
    return fitted(*pairs, offsets=True) if offsets and gains.levels > GOOD else gains


def fitted(before: Sequence[bytes], after: Sequence[bytes], offsets: bool) -> Fit:
    """The filter with or without offsets."""
    known = [(*(LINEAR[level] for level in colour), *((1.0,) if offsets else ())) for colour in before]
    wanted = [[LINEAR[level] for level in colour] for colour in after]
    rows = tuple(_row(known, [colour[channel] for colour in wanted], channel) for channel in range(3))
    squares = 0.0
    for colour, right in zip(known, after, strict=True):
        for row, level in zip(rows, right, strict=True):
            squares += (255 * encoded(sum(map(mul, row, colour))) - level) ** 2
    return Fit(rows, (squares / max(1, 3 * len(known))) ** 0.5)


def _row(known: Sequence[Sequence[float]], wanted: Sequence[float], channel: int) -> tuple[float, ...]:
    """The factors of one output channel."""
    width = len(known[0]) if known else 3
    row = [float(column == channel) for column in range(width)]
    weights = [_slope(value, value) for value in wanted]
    for _ in range(_ROUNDS):
        matrix = [[0.0] * width for _ in range(width)]
        right = [0.0] * width
        for colour, value, weight in zip(known, wanted, weights, strict=True):
            scaled = [weight * weight * part for part in colour]
            missing = value - colour[channel]
            for number, factor in enumerate(scaled):
                right[number] += factor * missing
                line = matrix[number]
                for column in range(number, width):
                    line[column] += factor * colour[column]
        for number in range(width):
            matrix[number][number] += _NEAR_IDENTITY * (1 + sum(weight * weight for weight in weights))
            for column in range(number):
                matrix[number][column] = matrix[column][number]
        change = solved(matrix, right)
        row = [float(column == channel) + change[column] for column in range(width)]
        found = [sum(map(mul, row, colour)) for colour in known]
        weights = [_slope(value, is_now) for value, is_now in zip(wanted, found, strict=True)]
    return tuple(row)


def solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a symmetric, positive definite system of equations, by elimination."""
    size = len(right)
    lines = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for pivot in range(size):
        for below in range(pivot + 1, size):
            factor = lines[below][pivot] / lines[pivot][pivot]
            lines[below] = [a - factor * b for a, b in zip(lines[below], lines[pivot], strict=True)]
    found = [0.0] * size
    for number in reversed(range(size)):
        rest = sum(map(mul, lines[number][number + 1 : size], found[number + 1 :]))
        found[number] = (lines[number][size] - rest) / lines[number][number]
    return found


def _slope(wanted: float, found: float) -> float:
    """How much an encoded value changes for a change of light between the two."""
    low, high = sorted((max(wanted, 0.0), max(found, 0.0)))
    if high - low < 1e-4:
        high, low = high + 5e-5, max(0.0, low - 5e-5)
    return (encoded(high) - encoded(low)) / (high - low)


def encoded(light: float) -> float:
    """sRGB's encoding of linear light, clipped to 0 to 1."""
    if light <= 0.0031308:
        return 12.92 * light if light > 0 else 0.0
    return 1.055 * light ** (1 / 2.4) - 0.055 if light < 1 else 1.0


def _light(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


LINEAR = [_light(level / 255) for level in range(256)]
"""The light of each of the 256 levels."""
