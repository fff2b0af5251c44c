"""Edge clean-up: the rim of a cut-out, where its old background still shows, is taken away or recoloured.

A layer on top of the group erases the rim. It can be hidden, painted or deleted. Near its edge, the result
gets the colours that lie further inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from krita import Selection

from glihamba_client.host import Steps
from glihamba_client.window import Rect

from . import pixels

HALF = bytes(128) + b"\xff" * 128  # what is covered by half or more, whole
LEVELS = 3  # more than the rim's width, to which colours are spread: soft edges reach further
NOT = b"\xff" + bytes(255)
SAMPLES = {"U8": "B", "U16": "H", "F32": "f"}
SOME = re.compile(rb"[^\x00]+")


class Edge(NamedTuple):
    """Of a layer's alpha, one byte for each pixel of the rectangle that was read."""

    alpha: bytes
    shrunk: bytes
    """The alpha without the rim."""
    core: bytes
    """Not 0 where the colours are surely the object's own."""
    width: int
    """Of the rim, in pixels."""


def edge_of(alpha: bytes, rect: Rect, width: int) -> Edge:
    """The edge of a layer of this alpha in `rect`, whose rim is so many pixels wide."""
    core = shrunk(alpha.translate(HALF), rect, width + 1)
    return Edge(alpha, shrunk(alpha, rect, width), core, width)


def shrunk(alpha: bytes, rect: Rect, by: int) -> bytes:
    """The alpha with so many pixels taken off every side."""
    selection = Selection()
    selection.setPixelData(alpha, *rect)
    selection.shrink(by, by, False)
    return bytes(selection.pixelData(*rect))


def eraser(edge: Edge) -> bytes:
    """Black pixels, 8 bits and blue first, which leave of the layer what `shrunk` says when they erase it."""
    made = bytearray(4 * len(edge.alpha))
    differ = int.from_bytes(edge.alpha, "little") ^ int.from_bytes(edge.shrunk, "little")
    for place in places(differ.to_bytes(len(edge.alpha), "little")):
        left = edge.shrunk[place] / edge.alpha[place] if edge.alpha[place] else 1.0
        made[4 * place + 3] = round(255 * (1 - left))
    return bytes(made)


def recolour(raw: bytearray, depth: str, size: tuple[int, int], edge: Edge) -> Steps[None]:
    """Spread the core's colours over the rim, pixel by pixel outwards; changes `raw`, four samples a pixel.

    Where no core is near, as in hair, the rim keeps its colours.
    """
    view: Any = memoryview(raw)
    colours = view.cast(SAMPLES[depth])
    rim = set(places(pixels.where(edge.alpha, edge.core.translate(NOT))))
    inner = {near for place in rim for near in around(place, *size) if edge.core[near]}
    for _ in range(edge.width + 1 + LEVELS):
        yield None
        found: dict[int, list[float]] = {}
        for place in {near for one in inner for near in around(one, *size)} & rim:
            beside = [one for one in around(place, *size) if one in inner]
            found[place] = [sum(colours[4 * one + c] for one in beside) / len(beside) for c in range(3)]
        for place, mean in found.items():
            for channel, value in enumerate(mean):
                colours[4 * place + channel] = value if depth == "F32" else round(value)
        rim.difference_update(found)
        inner = set(found)


def places(marked: bytes) -> Iterator[int]:
    """Where the bytes are not 0."""
    for run in SOME.finditer(marked):
        yield from range(*run.span())


def around(place: int, width: int, height: int) -> list[int]:
    """The pixels beside one, diagonal ones too."""
    row, column = divmod(place, width)
    return [
        y * width + x
        for y in range(max(0, row - 1), min(height, row + 2))
        for x in range(max(0, column - 1), min(width, column + 2))
        if (y, x) != (row, column)
    ]
