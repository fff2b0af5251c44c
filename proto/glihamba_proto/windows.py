"""How far around its object a result depends on the picture.

The daemon's pipeline looks at no pixel beyond its window, so a host need not read or send any.
"""

from __future__ import annotations

CONTEXT = 4
"""The window is this many object sizes wide and high, as far as the picture reaches.

The networks learn on whole pictures whose object covers 1 to 60 % of them. An object in the middle of its
window covers up to 6 %, and one larger than a quarter of the picture sees all of it.
"""

LARGEST_WORKING_SIZE = 1024
"""Side, in pixels, of the largest square that a network reads. Every window is as large as that square."""

SMALL_SIDE = 512
"""Pixels of a picture's longer side that show a network all that it can see, for `Predict`."""


def span(start: int, stop: int, length: int, available: int) -> tuple[int, int]:
    """Return `length` pixels around [start, stop), pushed inside [0, available), as [first, end)."""
    length = min(length, available)
    first = min(max((start + stop - length) // 2, 0), available - length)
    return first, first + length
