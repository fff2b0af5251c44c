"""A picture made small, for a question to the daemon: what a network sees, in kilobytes."""

from __future__ import annotations

import numpy as np
import pyvips

from glihamba.file_host import array, plane
from glihamba.image_files import Array, rescaled
from glihamba.srgb import linear_to_srgb
from glihamba_client.host import Capture, Plane
from glihamba_proto.windows import SMALL_SIDE


def glance(capture: Capture) -> tuple[Plane, Plane]:
    """Composite and mask with at most SMALL_SIDE pixels a side, of the same sample type and transfer."""
    return _small(capture.composite), _small(capture.mask)


def _small(large: Plane) -> Plane:
    scale = SMALL_SIDE / max(large.width, large.height)
    if scale >= 1:
        return large
    image = pyvips.Image.new_from_array(array(large))
    is_float, has_alpha = large.sample_type == "float32", large.channels == "rgba"
    full = 1 if is_float else int(np.iinfo(large.sample_type).max)
    if has_alpha:  # what is transparent must not colour its surroundings
        image = image.premultiply(max_alpha=full)
    image = image.reduce(1 / scale, 1 / scale, kernel="linear")
    if has_alpha:
        image = image.unpremultiply(max_alpha=full)
    pixels = image.numpy().reshape(image.height, image.width, -1)
    if not is_float:
        pixels = np.rint(np.clip(pixels, 0, full))
    return plane(pixels.astype(large.sample_type), large.transfer)


def in_8_bits(composite: Plane, mask: Plane) -> tuple[Plane, Plane]:
    """The two as `glihamba_client.preview` wants them: sRGB-encoded RGB and gray, 8 bits a sample."""
    colours = _floats(composite)[:, :, :3]
    if composite.transfer == "linear":
        colours = linear_to_srgb(colours)
    levels = (np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8) for pixels in (colours, _floats(mask)))
    small, covered = (plane(pixels, "srgb") for pixels in levels)
    return small, covered


def _floats(kept: Plane) -> Array:
    """A plane's pixels (H, W, C) as float32 of full scale 1."""
    return rescaled(array(kept), np.float32)
