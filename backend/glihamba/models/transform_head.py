"""The head that answers with a colour transform instead of pixels: PCT-Net's idea, a switch of GLIHamba."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.models.colour_transform import GRID_SHAPE, TERMS, ColourTransform, polynomial

_BASE_SCALE, _GRID_SCALE = 0.5, 0.25


class TransformHead(nn.Module):
    """Pools the decoder's features inside and outside the object and predicts a `ColourTransform`.

    `base` comes from the means and deviations of features and colours in the object, in the scene and
    just around the object; `grid` from the object's features in each cell, so that light which varies
    over the object is followed. Both start at the identity.
    """

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        colours = TERMS - 1
        self.global_mlp = nn.Sequential(
            nn.Linear(3 * (channels + colours) + 2 * channels, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.base = nn.Linear(hidden, 3 * TERMS)
        self.local_mlp = nn.Sequential(nn.Linear(channels + colours + hidden, hidden), nn.SiLU())
        self.grid = nn.Linear(hidden, 12)
        for layer in (self.base, self.grid):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, composite: Tensor, mask: Tensor) -> ColourTransform:
        """features (B,h,w,C), composite (B,3,H,W), mask (B,1,H,W) -> one transform for each picture."""
        size = (features.shape[1], features.shape[2])
        x = features.permute(0, 3, 1, 2)
        # Colour moments are averaged from full-size pixels: they are what harmony is judged by.
        inside = F.adaptive_avg_pool2d(mask, size)
        moments = polynomial(composite)[:, 1:]
        moments_inside = F.adaptive_avg_pool2d(moments * mask, size)
        moments_outside = F.adaptive_avg_pool2d(moments * (1 - mask), size)
        near = F.avg_pool2d(inside, 5, stride=1, padding=2) * (1 - inside)
        pooled = [
            torch.cat((_mean(x, inside), _normalised(moments_inside, inside)), 1),
            torch.cat((_mean(x, 1 - inside), _normalised(moments_outside, 1 - inside)), 1),
            torch.cat((_mean(x, near), _mean(moments_outside / (1 - inside).clamp_min(1e-3), near)), 1),
            _mean(x.square(), inside),
            _mean(x.square(), 1 - inside),
        ]
        summary = self.global_mlp(torch.cat(pooled, 1))
        identity = ColourTransform.identity(len(x), GRID_SHAPE, device=x.device, dtype=x.dtype)
        base = identity.base + _BASE_SCALE * self.base(summary).view(-1, 3, TERMS)

        cell = F.adaptive_avg_pool2d(inside, GRID_SHAPE)
        cell_features = F.adaptive_avg_pool2d(x * inside, GRID_SHAPE) / cell.clamp_min(1e-2)
        cell_moments = F.adaptive_avg_pool2d(moments_inside, GRID_SHAPE) / cell.clamp_min(1e-2)
        everywhere = summary[..., None, None].expand(-1, -1, *GRID_SHAPE)
        cells = torch.cat((cell_features, cell_moments, everywhere), 1)
        grid = self.grid(self.local_mlp(cells.permute(0, 2, 3, 1)))
        grid = _GRID_SCALE * grid.permute(0, 3, 1, 2).unflatten(1, (3, 4))
        return ColourTransform(base, grid)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """(B,C,h,w), (B,1,h,w) -> (B,C)."""
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)


def _normalised(weighted: Tensor, weight: Tensor) -> Tensor:
    return weighted.sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)
