"""Where the network looks, and how the picture gets to its working size.

A picture is never turned to float as a whole: it is averaged, in its own sample type, down to about
twice the working size first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glihamba.pipeline.colour import Floats, Pixels, coverage, full_scale
from glihamba.srgb import linear_to_srgb
from glihamba_proto.windows import CONTEXT, span


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, [top, bottom) by [left, right)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __bool__(self) -> bool:
        return self.height > 0 and self.width > 0

    def __and__(self, other: Box) -> Box:
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def moved(self, down: int, right: int) -> Box:
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def bands(self, pixels: int) -> Iterator[Box]:
        """The box cut into runs of whole rows, each of about `pixels` pixels and at least one row."""
        step = max(1, pixels // max(1, self.width))
        for top in range(self.top, self.bottom, step):
            yield Box(top, self.left, min(top + step, self.bottom), self.right)


def bounding_box(mask: Pixels, above: float = 0.0) -> Box:
    """The smallest box around the samples of mask (H,W) that exceed `above`; an empty box if none does."""
    rows = np.flatnonzero(mask.max(axis=1) > above)
    columns = np.flatnonzero(mask.max(axis=0) > above)
    if not len(rows):
        return Box(0, 0, 0, 0)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def context_window(mask: Pixels, working_size: int) -> Box:
    """The part of the picture the network sees: square where the picture allows, the object in its middle.

    mask: (H,W), not empty. Faint strokes do not widen it: it goes by what is at least half covered, if
    anything is. Never smaller than the working size, as far as the picture reaches.
    """
    solid = bounding_box(mask, above=0.5 * full_scale(mask.dtype))
    box = solid or bounding_box(mask)
    side = max(CONTEXT * max(box.height, box.width), working_size)
    top, bottom = span(box.top, box.bottom, side, mask.shape[0])
    left, right = span(box.left, box.right, side, mask.shape[1])
    return Box(top, left, bottom, right)


def at_working_size(
    composite: Pixels, mask: Pixels, window: Box, size: int, *, linear: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """What the network sees of the window: sRGB-encoded colours, the mask's coverage, and opacity.

    composite: (H,W,3|4), mask: (H,W). Returns (1,3,size,size), (1,1,size,size), (1,1,size,size), float32 in
    [0,1]. A colour weighs as much as its alpha; where the picture is transparent it is the mean of the rest.
    Linear samples are averaged as light.
    """
    seen = _resized(_averaged(composite[window.slices], 2 * size), size)
    rgb, opacity = seen[:, :3], seen[:, 3:]
    if composite.shape[2] == 3:
        opacity = torch.ones_like(rgb[:, :1])
    else:
        mean = rgb.sum((2, 3), keepdim=True) / opacity.sum().clamp_min(1e-6)
        filled = 1e-6 * (1 - opacity)  # nothing where the picture is opaque: it must equal one without alpha
        rgb = (rgb + filled * mean) / (opacity + filled)
    if linear:
        rgb = torch.from_numpy(linear_to_srgb(rgb.numpy()))
    covered = _resized(_averaged(mask[window.slices][..., None], 2 * size), size)
    return rgb.clamp(0, 1), covered.clamp(0, 1), opacity.clamp(0, 1)


def _resized(floats: Floats, size: int) -> Tensor:
    """(H,W,C) -> (1,C,size,size), bilinear with antialias, as iHarmony4 is resized for training."""
    planes = torch.from_numpy(np.ascontiguousarray(floats.transpose(2, 0, 1)))[None]
    return F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _averaged(pixels: Pixels, cells: int) -> Floats:
    """(H,W,C) of samples -> (h,w,C) in [0,1], at most `cells` rows and columns, each the mean of its pixels.

    With four channels the colours come out multiplied by their alpha.
    """
    rows, columns = (np.linspace(0, n, min(n, cells) + 1).round().astype(np.intp) for n in pixels.shape[:2])
    means = np.empty((len(rows) - 1, len(columns) - 1, pixels.shape[2]), np.float32)
    for mean, top, bottom in zip(means, rows[:-1], rows[1:], strict=True):
        sums = np.add.reduceat(_column_sums(pixels[top:bottom]), columns[:-1], axis=0)
        mean[:] = sums / (np.diff(columns)[:, None] * (bottom - top))
    return means


def _column_sums(strip: Pixels) -> NDArray[np.float64]:
    """(k,W,C) of samples -> (W,C), summed over the rows in units of full scale, colours times alpha."""
    full = full_scale(strip.dtype)
    whole = strip.dtype.kind == "u"
    if whole and (strip.shape[2] < 4 or strip[..., 3].min() == full):
        return strip.sum(axis=0, dtype=np.uint64 if len(strip) > 65536 else np.uint32) / full
    floats = coverage(strip)
    if strip.shape[2] == 4:
        floats[..., :3] *= floats[..., 3:]
    return floats.sum(axis=0, dtype=np.float64)
