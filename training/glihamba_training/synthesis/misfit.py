"""Masks that do not quite fit: people draw them a little too wide or too narrow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba_training.synthesis.chance import drawn

MISFIT = 4 / 256  # of the side: how far a mask may miss what was recoloured


def misfitting(mask: Tensor, odds: float, g: torch.Generator) -> Tensor:
    """A share `odds` of the masks (B,1,H,W) grown or shrunk by whole pixels, MISFIT of the side at most.

    A mask that would vanish stays as it was.
    """
    chosen = drawn(odds, len(mask), g)
    widest = max(1, round(MISFIT * mask.shape[-1]))
    widths = torch.randint(1, widest + 1, (len(chosen),), generator=g)
    grown = torch.rand(len(chosen), generator=g) < 0.5
    moved = mask.clone()
    for width in range(1, widest + 1):
        for sign, which in ((1, chosen[grown & (widths == width)]), (-1, chosen[~grown & (widths == width)])):
            moved[which] = sign * F.max_pool2d(sign * mask[which], 2 * width + 1, 1, width)
    return torch.where(moved.amax((1, 2, 3), keepdim=True) > 0.5, moved, mask)
