"""The network's answer, a smooth colour transform, applied to every pixel of the object at full size.

What is applied there is a *function of the pixel's own colour* (and, slowly, of its place), never upsampled
pixels: two neighbours that differed before differ after, so every edge and every grain of the picture
stays where it was, at any resolution and bit depth. The correction is evaluated at the colour clipped to
[0,1] and added: highlights beyond 1 keep their distance and never run away on the polynomial.

Work goes by bands of rows in a few threads, each band in tiles that fit a core's cache: no full-size
temporary exists. On one core 8 to 10 ms a megapixel of 8- or 16-bit samples: 1 for the polynomial, the rest
for turning interleaved samples to planes of float32 and back (linear samples 45: the powers of the curve).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from numpy.typing import NDArray

from glihamba.errors import Cancelled
from glihamba.networks.colour_transform import ColourTransform, tents
from glihamba.pipeline.colour import Floats, Pixels, coverage, from_float, full_scale, to_float
from glihamba.pipeline.correction_kernel import fastest
from glihamba.pipeline.geometry import Box, bounding_box
from glihamba.srgb import linear_to_srgb, srgb_to_linear

_TILE_PIXELS = 1 << 14  # 16,384: 256 KiB of float32 planes and weights
_BAND_PIXELS = 1 << 18
_THREADS = min(os.cpu_count() or 1, 8)


def apply(
    pixels: Pixels,
    mask: Pixels,
    transform: ColourTransform,
    window: Box,
    *,
    offset: tuple[int, int] | None = None,
    strength: float = 1.0,
    linear: bool = False,
    advance: Callable[[float], None] = lambda fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Pixels:
    """A copy of `pixels` (h,w,3|4) with the object's colours corrected; alpha and all else bit-identical.

    mask: (H,W), the object's coverage over the picture; window: the part of it that `transform` (a batch of
    one) spans. Without `offset`, pixels are the picture and the correction is mixed in by coverage:
    out = pixels + mask * strength * correction (GLIHamba's Eq. 7). With `offset` (x, y), pixels are the
    object's own layer, its top left there in the picture: every colour with any coverage gets the
    correction whole, for the editor still has to composite it. So does every colour beyond the picture, where
    no mask can say more: it may be moved in later. `linear`: samples are light, not sRGB.
    Floats must be finite. `advance` is told the fraction done. Raises Cancelled.
    """
    result = pixels.copy()
    if offset is not None:
        x, y = offset
        mask, window = _around(mask, pixels.shape[:2], x, y), window.moved(-y, -x)
    area = bounding_box(mask)
    if not area or strength == 0:
        return result
    work = _Work(result, mask, transform, window, offset is None, strength, linear)
    bands = list(area.bands(_BAND_PIXELS))
    with ThreadPoolExecutor(min(_THREADS, len(bands)), "glihamba-apply") as pool:
        futures = [pool.submit(work.correct, band) for band in bands]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if cancelled():
                    raise Cancelled("The job was cancelled; nothing was changed.")
                advance(done / len(bands))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return result


def _around(mask: Pixels, size: tuple[int, ...], x: int, y: int) -> Pixels:
    """The mask over a layer of `size` whose top left lies at (x, y) in the picture; covered beyond it."""
    over = np.full(size, full_scale(mask.dtype), mask.dtype)
    inside = Box(0, 0, *mask.shape) & Box(0, 0, *size).moved(y, x)
    if inside:
        over[inside.moved(-y, -x).slices] = mask[inside.slices]
    return over


class _Work:
    """What the bands of one picture share; `correct` may run in several threads at once."""

    def __init__(
        self,
        result: Pixels,
        mask: Pixels,
        transform: ColourTransform,
        window: Box,
        by_coverage: bool,
        strength: float,
        linear: bool,
    ) -> None:
        self.colours = result[..., :3].transpose(2, 0, 1)
        self.mask = mask
        self.window = window
        self.by_coverage = by_coverage
        self.strength = np.float32(strength)
        self.linear = linear
        self.add_correction = fastest()

        # The residual: what the transform adds to a colour. Its global linear part joins the grid.
        base = transform.base[0].double().cpu().numpy()
        linear_part = base[:, [1, 2, 3, 0]] - np.eye(3, 4)
        grid = transform.grid[0].double().cpu().numpy() + linear_part[:, :, None, None]
        self.grid = np.repeat(grid, 2, axis=3) if grid.shape[3] == 1 else grid  # at least two columns
        self.curve = np.ascontiguousarray(base[:, 4:], np.float32)
        self.down = tents(grid.shape[2], window.height).numpy()

    def correct(self, band: Box) -> None:
        """Correct the picture's rectangle `band` in the result, tile by tile."""
        across, cuts = self._columns(band)
        for tile in band.bands(_TILE_PIXELS):
            weight = coverage(self.mask[tile.slices])
            if not weight.any():
                continue
            touched = weight > 0
            if not self.by_coverage:
                weight = touched.astype(np.float32)
            weight *= self.strength
            rows, columns = tile.slices
            target = self.colours[:, rows, columns]
            affine = self._rows(tile)
            if self.linear:
                self._correct_linear(target, weight, touched, affine, across, cuts)
            else:
                self._correct_encoded(target, weight, touched, affine, across, cuts)

    def _correct_encoded(self, target: Pixels, weight: Floats, touched: Pixels, *place: Pixels) -> None:
        planes = target.astype(np.float32, order="C")
        affine, across, cuts = place
        if target.dtype.kind == "u":
            # Integers are exact in float32: where the weight is zero the very same value is stored.
            self.add_correction(
                planes, weight, self.curve, affine, across, cuts, full_scale(target.dtype), True
            )
            for channel, plane in zip(target, planes, strict=True):  # three times as fast as all at once
                channel[...] = plane.astype(target.dtype)
        else:
            self.add_correction(planes, weight, self.curve, affine, across, cuts, 1.0, False)
            np.copyto(target, planes, where=True if touched.all() else touched)

    def _correct_linear(self, target: Pixels, weight: Floats, touched: Pixels, *place: Pixels) -> None:
        before = linear_to_srgb(np.ascontiguousarray(to_float(target)))
        after = before.copy()
        affine, across, cuts = place
        self.add_correction(after, weight, self.curve, affine, across, cuts, 1.0, False)
        # There and back through the curve costs a rounding: what did not change is not stored.
        np.copyto(target, from_float(srgb_to_linear(after), target.dtype), where=touched & (after != before))

    def _rows(self, tile: Box) -> Floats:
        """(h,3,4,n): the grid's factors at each of the tile's rows."""
        inside = np.clip(np.arange(tile.top, tile.bottom) - self.window.top, 0, self.window.height - 1)
        return np.ascontiguousarray(np.einsum("yg,ckgn->yckn", self.down[inside], self.grid), np.float32)

    def _columns(self, band: Box) -> tuple[Floats, NDArray[np.intp]]:
        """The kernel's `across` and `cuts` for the band's columns."""
        count = self.grid.shape[3]
        place = (np.arange(band.left, band.right) - self.window.left + 0.5) * count / self.window.width - 0.5
        across = np.clip(place, 0, count - 1).astype(np.float32)
        inner = np.searchsorted(across, np.arange(1, count - 1, dtype=np.float32))
        return across, np.array([0, *inner, band.width], np.intp)
