"""A correction as a look-up table, for video and for other editors.

The format is the .cube of Adobe's Cube LUT Specification 1.0 (2013): sRGB-encoded colours in and out, red
changes fastest. A table knows no place, so it holds what the correction does everywhere alike. Light that
differs over the object is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from operator import mul
from pathlib import Path
from typing import Any

from glihamba_client.errors import ClientError
from glihamba_client.preview import PARTS, terms

SUFFIX = "cube"
SIZE = 33  # entries a side, what video editors use; between entries a quadratic is off by 1/16,000 at most


def cube(
    variant: Any, strength: float = 1.0, amounts: Mapping[str, float] | None = None, title: str = "GLIHamba"
) -> str:
    """The table's text. variant: the contract's `Variant`; strength, amounts: see `Preview.pixels`."""
    clean = "".join(letter for letter in title if letter.isprintable() and letter not in '"').strip()
    head = (f'TITLE "{clean}"', f"LUT_3D_SIZE {SIZE}", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1")
    return "\n".join((*head, *_entries(change_everywhere(variant, strength, amounts)))) + "\n"


def save(path: str, variant: Any, strength: float, amounts: Mapping[str, float], title: str) -> None:
    """Write the table to a file. Arguments are those of `cube`. Raises `ClientError` FILE_NOT_WRITTEN."""
    try:
        Path(path).write_text(cube(variant, strength, amounts, title), "ascii", "backslashreplace")
    except OSError as error:
        raise ClientError("FILE_NOT_WRITTEN", path=path, reason=error.strerror) from error


def change_everywhere(
    variant: Any, strength: float = 1.0, amounts: Mapping[str, float] | None = None
) -> list[list[float]]:
    """What the correction adds to a colour wherever it lies: for each channel ten factors of `preview.terms`.

    Arguments are those of `cube`.
    """
    total = [[0.0] * 10 for _ in range(3)]
    for name, part in zip(PARTS, variant.parts, strict=True):
        weight = variant.strength * strength * (amounts or {}).get(name, 1.0)
        for channel, row in enumerate(total):
            own = part.base[10 * channel : 10 * channel + 10]
            row[:] = [a + weight * b for a, b in zip(row, own, strict=True)]
    return total


def _entries(change: list[list[float]]) -> Iterator[str]:
    """The table's lines."""
    steps = [number / (SIZE - 1) for number in range(SIZE)]
    for blue, green, red in product(steps, repeat=3):
        colour = (red, green, blue)
        found = terms(colour)
        values = (c + sum(map(mul, row, found)) for c, row in zip(colour, change, strict=True))
        yield "{:.6f} {:.6f} {:.6f}".format(*(min(max(value, 0.0), 1.0) for value in values))
