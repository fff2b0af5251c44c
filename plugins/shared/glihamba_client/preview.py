"""A small picture of what a correction makes of an object, drawn again for every move of a slider.

The daemon has said what each part of the correction adds to a colour (`Variant.parts` of the contract). So
each object pixel's five changes are computed once, and a slider only weighs them: no daemon is asked, and no
numeric library is needed, which editors' Python may lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

from glihamba_client.host import Plane

PARTS = ("light", "warmth", "contrast", "saturation", "local")  # the fields of the contract's Amounts
MOST_PIXELS = 6_000  # of the object: a move of a slider then takes a few hundredths of a second

Terms = tuple[float, ...]


class Preview:
    """The object of one small picture, recoloured by one variant."""

    def __init__(self, composite: Plane, mask: Plane, variant: Any) -> None:
        """composite (RGB) and mask (gray): 8 bits a sample, of one size; the picture that was predicted from,
        or the same picture at another size. variant: the contract's `Variant`.
        """
        self._composite = bytes(composite.data)
        self._strength = variant.strength
        width, height = mask.width, mask.height
        self._places = [place for place, cover in enumerate(bytes(mask.data)) if cover]
        levels = memoryview(self._composite)
        known = [terms([x / 255 for x in levels[3 * place : 3 * place + 3]]) for place in self._places]
        covers = [mask.data[place] for place in self._places]  # 0 to 255: the changes are in levels
        self._changes: list[list[float]] = []  # a part's, three numbers a pixel
        window = variant.transform
        for part in variant.parts:
            grid = _Grid(part.grid, window) if part.grid else None
            rows = [part.base[10 * channel : 10 * channel + 10] for channel in range(3)]
            changes: list[float] = []
            for place, term, cover in zip(self._places, known, covers, strict=True):
                added = [sum(map(mul, row, term)) for row in rows]
                if grid is not None:
                    x, y = (place % width + 0.5) / width, (place // width + 0.5) / height
                    added = [a + b for a, b in zip(added, grid.change(x, y, term), strict=True)]
                changes += [cover * change for change in added]
            self._changes.append(changes)

    def pixels(self, strength: float = 1.0, amounts: Mapping[str, float] | None = None) -> bytes:
        """The composite's size in RGB, 8 bits a sample.

        strength: 0 to 1.5, of the variant's own. amounts: of the parts by their names, 1 for an absent one.
        """
        weights = [self._strength * strength * (amounts or {}).get(name, 1.0) for name in PARTS]
        drawn = bytearray(self._composite)
        weighed = [
            [weight * change for change in part] for weight, part in zip(weights, self._changes, strict=True)
        ]
        moved = list(map(sum, zip(*weighed, strict=True)))
        for number, place in enumerate(self._places):
            for channel in range(3):
                level = drawn[3 * place + channel] + moved[3 * number + channel]
                drawn[3 * place + channel] = 0 if level < 0 else 255 if level > 255 else int(level + 0.5)
        return bytes(drawn)

    def local_levels(self, strength: float = 1.0, amounts: Mapping[str, float] | None = None) -> float:
        """How much light that differs over the object changes it: root mean square, of 255 levels.

        A look-up table and an editor's filter leave it out. Arguments are those of `pixels`.
        """
        weight = self._strength * strength * (amounts or {}).get(PARTS[-1], 1.0)
        local = self._changes[-1]
        return abs(weight) * (sum(map(mul, local, local)) / len(local)) ** 0.5 if local else 0.0


def terms(colour: Sequence[float]) -> Terms:
    """1, r, g, b, rr, gg, bb, rg, rb, gb of a colour, 0 to 1, as the contract's `Transform` has them."""
    r, g, b = colour
    return (1.0, r, g, b, r * r, g * g, b * b, r * g, r * b, g * b)


class _Grid:
    """A part's grid: affine changes, bilinear between the centres of the window's cells."""

    def __init__(self, numbers: Sequence[float], window: Any) -> None:
        self._rows, self._columns = window.grid_rows, window.grid_columns
        self._window = window
        cells = self._rows * self._columns
        self._planes = [numbers[start : start + cells] for start in range(0, 12 * cells, cells)]

    def change(self, x: float, y: float, term: Terms) -> list[float]:
        """What the grid adds to a colour at the place (x, y), in fractions of the picture."""
        window = self._window
        above, below, down = _between((y - window.top) / (window.bottom - window.top), self._rows)
        left, right, across = _between((x - window.left) / (window.right - window.left), self._columns)
        corners = (
            (above * self._columns + left, (1 - down) * (1 - across)),
            (above * self._columns + right, (1 - down) * across),
            (below * self._columns + left, down * (1 - across)),
            (below * self._columns + right, down * across),
        )
        affine = (term[1], term[2], term[3], 1.0)
        here = [sum(plane[cell] * share for cell, share in corners) for plane in self._planes]
        return [sum(map(mul, here[4 * channel : 4 * channel + 4], affine)) for channel in range(3)]


def _between(fraction: float, cells: int) -> tuple[int, int, float]:
    """The two cells whose centres enclose a place (the outermost beyond them), and the second one's share."""
    place = min(max(fraction * cells - 0.5, 0.0), cells - 1.0)
    first = int(place)
    return first, min(first + 1, cells - 1), place - first
