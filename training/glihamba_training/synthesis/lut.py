"""Random smooth 3-D look-up tables."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NODES = 4  # a side; few, so that neighbouring colours move alike


def random_lut(count: int, g: torch.Generator) -> Tensor:
    """A table for each picture: displacements of NODES cubed colours, mostly of brightness.

    (count, 3, NODES, NODES, NODES), blue slowest.
    """
    strength = 0.14 * torch.exp(0.5 * torch.randn(count, 1, 1, 1, 1, generator=g))
    colours = torch.randn(count, 3, NODES, NODES, NODES, generator=g) * 0.4
    return strength * (colours + torch.randn(count, 1, NODES, NODES, NODES, generator=g))


def look_up(rgb: Tensor, lut: Tensor) -> Tensor:
    """The colours displaced as the table says, trilinear between its nodes: (B,3,H,W) -> the same."""
    where = (rgb.permute(0, 2, 3, 1) * 2 - 1)[:, None]
    shift = F.grid_sample(lut, where, mode="bilinear", padding_mode="border", align_corners=True)
    return (rgb + shift[:, :, 0]).clamp(0, 1)
