"""A correction's five parts, of which a person can ask for more or less.

The correction is D(c, x) = T(c, x) - c for a colour c at the place x in the window. Its local part is the
grid less the grid's mean over the cells; the rest, G(c), is the same everywhere. Let m be the object's mean
colour, and let luma(v) be 0.2126 r + 0.7152 g + 0.0722 b of the sRGB-encoded values, as gray (the weights of
ITU-R BT.709):

    light        luma(G(m))               the mean colour gets lighter or darker
    warmth       G(m) - luma(G(m))        the mean colour gets another hue: warmth and tint
    contrast     luma(G(c) - G(m))        colours get farther from the mean in lightness, or nearer
    saturation   the rest of G(c) - G(m)  the same in hue and saturation
    local        D(c, x) - G(c)           light that differs over the window

Their sum is D. Amounts multiply the parts: at 1 the transform is unchanged bit by bit, at 0 the part is left
out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glihamba.networks.colour_transform import ColourTransform, polynomial
from glihamba.pipeline.prediction import Amounts

_LUMA = (0.2126, 0.7152, 0.0722)


def weighed(transform: ColourTransform, mean: Tensor, amounts: Amounts) -> ColourTransform:
    """The transform whose parts are multiplied by `amounts`.

    transform: of any batch B, in float32 on any device. mean: (B,3), the objects' mean colours, sRGB-encoded.
    """
    if amounts == Amounts():
        return transform
    base, grid = transform.base.double(), transform.grid.double()
    mean = mean.to(base)
    even = grid.mean(dim=(3, 4))  # (B,3,4): affine by r, g, b, 1
    everywhere = base - ColourTransform.identity(len(base), device=base.device, dtype=base.dtype).base
    everywhere[:, :, [1, 2, 3, 0]] += even

    at_mean = torch.zeros_like(everywhere)
    at_mean[:, :, 0] = (everywhere @ polynomial(mean)[:, :, None])[:, :, 0]
    around = everywhere - at_mean
    gray = torch.tensor(_LUMA, dtype=base.dtype, device=base.device).expand(3, 3)
    light, contrast = gray @ at_mean, gray @ around
    change = (
        (amounts.light - 1) * light
        + (amounts.warmth - 1) * (at_mean - light)
        + (amounts.contrast - 1) * contrast
        + (amounts.saturation - 1) * (around - contrast)
    )
    uneven = grid - even[:, :, :, None, None]
    return ColourTransform(
        (base + change).to(transform.base.dtype),
        (grid + (amounts.local - 1) * uneven).to(transform.grid.dtype),
    )
