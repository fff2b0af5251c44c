"""One job as the engine takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glihamba.pipeline.prediction import AS_PREDICTED, Amounts, Prediction, Variant
from glihamba_proto.formats import CHANNELS, Channels, SampleType, Size

if TYPE_CHECKING:
    from glihamba.models.registry import Record

__all__ = [
    "AS_PREDICTED",
    "Amounts",
    "Pixels",
    "Prediction",
    "Request",
    "Variant",
    "bytes_of",
    "pixels_of",
    "sample_dtype",
    "swap_red_and_blue",
]

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Request:
    """One job, ready for the pipeline: arrays (H,W,3|4) and (H,W), RGB order, little-endian.

    `model` is what `Runner.resolve` gave. `strength` is from 0 to 1.5. `foreground_offset` is (x, y) of the
    foreground's top left pixel in the composite's coordinates. `prediction` is applied instead of the model's
    own. Without `wants_pixels` the job ends with the variants.
    """

    model: Record
    strength: float
    transfer: str
    composite: Pixels
    mask: Pixels
    foreground: Pixels | None = None
    foreground_offset: tuple[int, int] = (0, 0)
    prediction: Prediction | None = None
    amounts: Amounts = AS_PREDICTED
    wants_pixels: bool = True


def sample_dtype(sample_type: SampleType) -> np.dtype[Any]:
    """The contract's samples are little-endian."""
    return np.dtype(sample_type).newbyteorder("<")


def pixels_of(data: Any, size: Size, sample_type: SampleType, channels: Channels) -> Pixels:
    """A plane's bytes as (H,W), or (H,W,3|4) in RGB order. `data` is a buffer or an array of bytes.

    Nothing is copied, except that read-only data whose blue comes first is.
    """
    width, height = size
    count = CHANNELS[channels].channels
    shape = (height, width) if count == 1 else (height, width, count)
    pixels: Pixels = np.frombuffer(data, sample_dtype(sample_type)).reshape(shape)
    if not CHANNELS[channels].is_blue_first:
        return pixels
    return swap_red_and_blue(pixels if pixels.flags.writeable else pixels.copy())


def bytes_of(pixels: Pixels, channels: Channels) -> memoryview:
    """The bytes of pixels in RGB order as a plane of these channels; may reorder `pixels` in place."""
    plain = np.ascontiguousarray(pixels)
    if CHANNELS[channels].is_blue_first:
        plain = swap_red_and_blue(plain if plain.flags.writeable else plain.copy())
    return plain.reshape(-1).view(np.uint8).data


def swap_red_and_blue(pixels: Pixels) -> Pixels:
    """In place, a band of rows at a time: pictures are large."""
    rows = math.ceil(1_000_000 / pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows]
        red = band[..., 0].copy()
        band[..., 0] = band[..., 2]
        band[..., 2] = red
    return pixels
