"""The rules that a request must keep. Each returns what is wrong, or None.

The client checks what it can see before it sends; the daemon checks everything. Sizes are (width, height)
in pixels; a plane is called by its role: composite, mask or foreground.
"""

from __future__ import annotations

from collections.abc import Mapping

from glihamba_proto.formats import CHANNELS, ROLES, SAMPLES, TRANSFERS, Role, Size
from glihamba_proto.messages import Note

FEWEST: dict[Role, int] = {"composite": 1, "mask": 1, "foreground": 0}
"""How many planes of each role a job has at least; it has at most one of each."""


def planes(counts: Mapping[Role, int]) -> Note | None:
    """A job has one composite, one mask and at most one foreground. counts: the planes of each role."""
    for role in ROLES:
        count = counts.get(role, 0)
        if not FEWEST[role] <= count <= 1:
            case = "PLANES_EXACTLY_ONE" if FEWEST[role] else "PLANES_AT_MOST_ONE"
            return Note(f"BAD_REQUEST.{case}", {"plane": role, "count": count})
    return None


def sample_type(role: Role, name: str | None, found: object) -> Note | None:
    """Samples are uint8, uint16 or float32. name: theirs, if it is known; found: what to call them else."""
    if name in SAMPLES:
        return None
    return Note("BAD_REQUEST.SAMPLE_TYPE", {"plane": role, "found": found})


def channels(role: Role, name: str | None, found: object) -> Note | None:
    """A mask is gray; composite and foreground are RGB with or without alpha, in either order."""
    wanted = [each for each, order in CHANNELS.items() if (order.channels == 1) == (role == "mask")]
    if name in wanted:
        return None
    return Note("BAD_REQUEST.CHANNELS", {"plane": role, "wanted": ", ".join(wanted).upper(), "found": found})


def transfer(role: Role, name: str | None, found: object) -> Note | None:
    """Samples are sRGB-encoded or linear."""
    if name in TRANSFERS:
        return None
    return Note("BAD_REQUEST.TRANSFER", {"plane": role, "found": found})


def same_transfer(composite: str, foreground: str) -> Note | None:
    """The foreground has the composite's transfer function."""
    return None if composite == foreground else Note("BAD_REQUEST.TRANSFERS_DIFFER")


def size(role: Role, size: Size, limit: int) -> Note | None:
    """A plane has pixels, and at most `limit` of them."""
    width, height = size
    if width < 1 or height < 1:
        return Note("BAD_REQUEST.NO_PIXELS", {"plane": role, "width": width, "height": height})
    if width * height > limit:
        return Note("TOO_LARGE", {"plane": role, "width": width, "height": height, "limit": limit})
    return None


def same_size(mask: Size, composite: Size) -> Note | None:
    """The mask has the composite's size."""
    if mask == composite:
        return None
    names = "mask_width", "mask_height", "width", "height"
    return Note("SIZE_MISMATCH", dict(zip(names, (*mask, *composite), strict=True)))


def same_offset(mask: tuple[int, int], composite: tuple[int, int]) -> Note | None:
    """The mask lies where the composite lies."""
    return None if mask == composite else Note("BAD_REQUEST.OFFSETS_DIFFER")


STRONGEST = 1.5  # a correction's strength, from 0 on; 1 is the full one
LEAST_AMOUNT, MOST_AMOUNT = -1.0, 2.0  # of a part of a correction; 1 is as predicted


def strength(value: float) -> Note | None:
    """The strength is from 0 to 1.5."""
    if 0 <= value <= STRONGEST:  # false for NaN
        return None
    return Note("BAD_REQUEST.STRENGTH", {"strength": f"{value:g}"})


def amount(part: str, value: float) -> Note | None:
    """A part of the correction is applied from -1 to 2 times. part: its name in the contract's Amounts."""
    if LEAST_AMOUNT <= value <= MOST_AMOUNT:  # false for NaN
        return None
    return Note("BAD_REQUEST.AMOUNT", {"part": part, "amount": f"{value:g}"})


def transform_shape(base: int, mean: int, grid: int, rows: int, columns: int) -> Note | None:
    """A transform has 30 numbers, 3 of the mean colour, and 12 for each of 1 to 64 by 1 to 64 cells."""
    if base == 30 and mean == 3 and 1 <= rows <= 64 and 1 <= columns <= 64 and grid == 12 * rows * columns:
        return None
    fields = {"base": base, "mean": mean, "grid": grid, "rows": rows, "columns": columns}
    return Note("BAD_REQUEST.TRANSFORM_SHAPE", fields)


def transform_numbers(largest: float) -> Note | None:
    """A transform's numbers are finite and at most a million. largest: the largest amount of one, or NaN."""
    return None if largest <= 1e6 else Note("BAD_REQUEST.TRANSFORM_NUMBERS")


def transform_window(start: float, stop: float) -> Note | None:
    """A transform's window is not empty and near the picture. start, stop: in fractions of a side."""
    if -64 <= start < stop <= 65:  # false for NaN
        return None
    return Note("BAD_REQUEST.TRANSFORM_WINDOW", {"start": f"{start:g}", "stop": f"{stop:g}"})


def coverage(lowest: float, highest: float, full: float) -> Note | None:
    """A mask marks something and leaves something. lowest, highest: of its samples; full: full scale."""
    if highest <= 0:
        return Note("EMPTY_MASK")
    return Note("FULL_MASK") if lowest >= full else None


def finite(role: Role, is_finite: bool) -> Note | None:
    """A plane of floats holds numbers."""
    return None if is_finite else Note("NOT_FINITE", {"plane": role})
