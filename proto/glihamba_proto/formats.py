"""Planes of pixels: their sample types, channels and transfer functions, and the contract's numbers for them.

A plane is a rectangle of pixels: row-major, interleaved, unpadded, little-endian, straight alpha, with
sRGB's primaries. Names are used inside the programs, numbers (of `Plane` in harmonizer.proto) on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, TypeVar

SampleType = Literal["uint8", "uint16", "float32"]
Channels = Literal["gray", "rgb", "rgba", "bgra", "bgr"]
Transfer = Literal["srgb", "linear"]
Role = Literal["composite", "mask", "foreground"]
Size = tuple[int, int]  # width, height in pixels


class Sample(NamedTuple):
    """`full` is the value that means 1."""

    number: int
    bytes: int
    full: float


class Order(NamedTuple):
    number: int
    channels: int
    is_blue_first: bool


class Named(NamedTuple):
    number: int


SAMPLES: dict[SampleType, Sample] = {
    "uint8": Sample(1, 1, 255.0),
    "uint16": Sample(2, 2, 65535.0),
    "float32": Sample(3, 4, 1.0),  # values beyond 0 to 1 are kept
}
CHANNELS: dict[Channels, Order] = {
    "gray": Order(1, 1, False),
    "rgb": Order(2, 3, False),
    "rgba": Order(3, 4, False),
    "bgra": Order(4, 4, True),
    "bgr": Order(5, 3, True),
}
TRANSFERS: dict[Transfer, Named] = {"srgb": Named(1), "linear": Named(2)}
ROLES: dict[Role, Named] = {"composite": Named(1), "mask": Named(2), "foreground": Named(3)}

_UNSPECIFIED_TRANSFER = 0  # means sRGB


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


Name = TypeVar("Name", bound=str)


def name_of(table: Mapping[Name, _Numbered], number: int) -> Name | None:
    """The name that the contract's number stands for in one of the tables above; None if it is unknown."""
    return next((name for name, entry in table.items() if entry.number == number), None)


def transfer_of(number: int) -> Transfer | None:
    """The transfer function that the contract's number stands for; None if it is unknown."""
    return "srgb" if number == _UNSPECIFIED_TRANSFER else name_of(TRANSFERS, number)


def byte_count(size: Size, sample_type: SampleType, channels: Channels) -> int:
    """How many bytes a plane has."""
    return size[0] * size[1] * CHANNELS[channels].channels * SAMPLES[sample_type].bytes
