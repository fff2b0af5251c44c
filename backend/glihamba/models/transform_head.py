"""The head that answers with a colour transform instead of pixels: PCT-Net's idea, a switch of GLIHamba."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.models.colour_transform import GRID_SHAPE, TERMS, ColourTransform, recentred

_BINS = 9  # of a channel's histogram, with linear flanks: 0, 1/8, ..., 1
_COLOURS = 3 * 6 + 2 * 6 + 2 * 3 * _BINS + 1  # moments, contrasts, histograms, area


class TransformHead(nn.Module):
    """Pools features and colours inside, outside and just around the object; predicts a `ColourTransform`.

    `base` is a quadratic around the object's mean colour: shift, gain and curvature are then nearly
    independent, where in absolute colours one outweighs the other and learning crawls. `grid` comes from
    the object's features in each cell, so that light which varies over the object is followed. Both start
    at the identity.
    """

    def __init__(self, channels: int, hidden: int = 256) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.colour_norm = nn.LayerNorm(_COLOURS)
        self.global_mlp = nn.Sequential(
            nn.Linear(5 * channels + _COLOURS, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.base = nn.Linear(hidden, 3 * TERMS)
        self.local_mlp = nn.Sequential(nn.Linear(channels + 3 + hidden, hidden // 2), nn.SiLU())
        self.grid = nn.Linear(hidden // 2, 12)
        for layer in (self.base, self.grid):
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
        pooled = [_mean(x, weight) for weight in (inside, 1 - inside, near)]
        pooled += [_mean(x.square(), weight) for weight in (inside, 1 - inside)]
        mean, colours = _colours(composite, mask, around)
        summary = self.global_mlp(torch.cat((*pooled, self.colour_norm(colours)), 1))
        change = self.base(summary).view(-1, 3, TERMS) @ recentred(mean)
        identity = ColourTransform.identity(len(x), device=x.device, dtype=x.dtype)

        cell = F.adaptive_avg_pool2d(inside, GRID_SHAPE).clamp_min(1e-2)
        centred = (composite - mean[..., None, None]) * mask
        cells = F.adaptive_avg_pool2d(
            torch.cat((x * inside, F.adaptive_avg_pool2d(centred, size)), 1), GRID_SHAPE
        )
        everywhere = summary[..., None, None].expand(-1, -1, *GRID_SHAPE)
        local = self.local_mlp(torch.cat((cells / cell, everywhere), 1).permute(0, 2, 3, 1))
        gain, shift = self.grid(local).permute(0, 3, 1, 2).unflatten(1, (3, 4)).split((3, 1), 2)
        shift = shift - torch.einsum("bijhw,bj->bihw", gain, mean)[:, :, None]
        return ColourTransform(identity.base + change, torch.cat((gain, shift), 2))


def _colours(composite: Tensor, mask: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """The object's mean colour (B,3), and all that colours alone say of object, scene and ring (B,85)."""
    object_, scene, ring = (_statistics(composite, weight) for weight in (mask, 1 - mask, around))
    described = [statistics.flatten(1) for statistics in (object_, scene, ring)]
    described += [_contrast(object_, other) for other in (scene, ring)]
    described += [_histogram(composite, weight) for weight in (mask, 1 - mask)]
    return object_[:, 0], torch.cat((*described, mask.mean((2, 3))), 1)


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


def _histogram(rgb: Tensor, weight: Tensor) -> Tensor:
    """Each channel's share of pixels near 0, 1/8, ..., 1, counted with linear flanks: -> (B,27)."""
    steps = _BINS - 1
    return torch.cat([_mean((1 - (rgb * steps - k).abs()).clamp_min(0), weight) for k in range(_BINS)], 1)
