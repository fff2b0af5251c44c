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

from dataclasses import astuple

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
    for part, amount in zip(parts(transform, mean), astuple(amounts), strict=True):
        base, grid = base + (amount - 1) * part.base, grid + (amount - 1) * part.grid
    return ColourTransform(base.to(transform.base.dtype), grid.to(transform.grid.dtype))


def parts(transform: ColourTransform, mean: Tensor) -> tuple[ColourTransform, ...]:
    """The five parts in the order of the fields of `Amounts`, in float64: what each adds to a colour.

    Arguments are those of `weighed`. Only the local part has a grid.
    """
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
    no_base, no_grid = torch.zeros_like(base), torch.zeros_like(grid)
    uneven = grid - even[:, :, :, None, None]
    return (
        *(ColourTransform(x, no_grid) for x in (light, at_mean - light, contrast, around - contrast)),
        ColourTransform(no_base, uneven),
    )
