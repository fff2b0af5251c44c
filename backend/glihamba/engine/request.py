"""One job as the engine takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Request:
    """One job, ready for the pipeline: arrays (H,W,3|4) and (H,W), RGB order, little-endian.

    `foreground_offset` is (x, y) of the foreground's top left pixel in the composite's coordinates.
    """

    model: str
    strength: float
    transfer: str
    composite: Pixels
    mask: Pixels
    foreground: Pixels | None
    foreground_offset: tuple[int, int]
