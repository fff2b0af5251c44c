"""The head that answers with a colour transform instead of pixels: PCT-Net's idea, a switch of GLIHamba."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.models.colour_transform import GRID_SHAPE, TERMS, ColourTransform

_BASE_SCALE, _GRID_SCALE, _GATE_SCALE = 0.5, 0.25, 0.5
_COLOURS = 6  # mean and deviation of r, g, b


class TransformHead(nn.Module):
    """Pools features and colours inside, outside and just around the object; predicts a `ColourTransform`.

    `base` is the identity, plus gated shares of the two statistics transfers (of the surroundings' and of
    the whole scene's means and deviations), plus a free quadratic: statistics are a strong first guess,
    and how far to trust them is what the network learns. `grid` comes from the object's features in each
    cell, so that light which varies over the object is followed. All start at the identity.
    """

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.global_mlp = nn.Sequential(
            nn.Linear(3 * channels + 2 * channels + 5 * _COLOURS, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.base = nn.Linear(hidden, 3 * TERMS)
        self.gates = nn.Linear(hidden, 2 * 3)
        self.local_mlp = nn.Sequential(nn.Linear(channels + 3 + hidden, hidden), nn.SiLU())
        self.grid = nn.Linear(hidden, 12)
        for layer in (self.base, self.gates, self.grid):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, composite: Tensor, mask: Tensor) -> ColourTransform:
        """features (B,h,w,C), composite (B,3,H,W), mask (B,1,H,W) -> one transform for each picture."""
        size = (features.shape[1], features.shape[2])
        x = self.norm(features).permute(0, 3, 1, 2)
        inside = F.adaptive_avg_pool2d(mask, size)
        near = F.avg_pool2d(inside, 5, stride=1, padding=2) * (1 - inside)
        # Colours are averaged from full-size pixels: they are what harmony is judged by.
        around = F.interpolate(near, size=mask.shape[-2:], mode="nearest") * (1 - mask)
        object_, scene, ring = (_statistics(composite, weight) for weight in (mask, 1 - mask, around))
        summary = self.global_mlp(
            torch.cat(
                [
                    *(_mean(x, weight) for weight in (inside, 1 - inside, near)),
                    *(_mean(x.square(), weight) for weight in (inside, 1 - inside)),
                    *(_contrast(object_, other) for other in (scene, ring)),
                    *(statistics.flatten(1) for statistics in (object_, scene, ring)),
                ],
                1,
            )
        )
        base = _BASE_SCALE * self.base(summary).view(-1, 3, TERMS)
        gates = _GATE_SCALE * self.gates(summary).view(-1, 2, 3)
        base = base + ColourTransform.identity(len(x), device=x.device, dtype=x.dtype).base
        base = base + gates[:, 0, :, None] * _transfer(object_, scene)
        base = base + gates[:, 1, :, None] * _transfer(object_, ring)

        cell = F.adaptive_avg_pool2d(inside, GRID_SHAPE).clamp_min(1e-2)
        cells = F.adaptive_avg_pool2d(
            torch.cat((x * inside, F.adaptive_avg_pool2d(composite * mask, size)), 1), GRID_SHAPE
        )
        everywhere = summary[..., None, None].expand(-1, -1, *GRID_SHAPE)
        local = self.local_mlp(torch.cat((cells / cell, everywhere), 1).permute(0, 2, 3, 1))
        grid = _GRID_SCALE * self.grid(local).permute(0, 3, 1, 2).unflatten(1, (3, 4))
        return ColourTransform(base, grid)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """(B,C,h,w), (B,1,h,w) -> (B,C)."""
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)


def _statistics(rgb: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean and deviation of each channel: (B,3,H,W), (B,1,H,W) -> (B,2,3)."""
    mean = _mean(rgb, weight)
    variance = _mean((rgb - mean[..., None, None]).square(), weight)
    return torch.stack((mean, (variance + 1e-4).sqrt()), 1)


def _contrast(ours: Tensor, theirs: Tensor) -> Tensor:
    """Difference of means and log ratio of deviations, (B,2,3) twice -> (B,6)."""
    return torch.cat((theirs[:, 0] - ours[:, 0], torch.log(theirs[:, 1] / ours[:, 1])), 1)


def _transfer(ours: Tensor, theirs: Tensor) -> Tensor:
    """What statistics transfer adds to the identity, as a `base` (B,3,10): gain and shift of each channel."""
    gain = (theirs[:, 1] / ours[:, 1]).clamp(0.5, 2)
    shift = theirs[:, 0] - gain * ours[:, 0]
    change = ours.new_zeros(len(ours), 3, TERMS)
    change[:, :, 0] = shift
    change[:, range(3), range(1, 4)] = gain - 1
    return change
