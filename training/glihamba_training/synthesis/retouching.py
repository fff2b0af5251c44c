"""A photographer's and retoucher's moves: exposure, white balance, tone, contrast, saturation, hue."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glihamba_training.synthesis.chance import coins


def retouch(rgb: Tensor, g: torch.Generator, temperature: float) -> Tensor:
    """All moves in turn, each of random strength: (B,3,H,W) -> the same, in [0,1].

    Brightness moves more than colour: in retouched photographs the object's brightness moves far, its hue
    little. temperature: the white balance's spread in stops, red up and blue down; daylight among lamps: 0.7.
    """
    n = len(rgb)

    def normal(scale: float, *shape: int) -> Tensor:
        # A heavy tail: most moves are mild, some are not.
        spread = torch.exp(0.5 * torch.randn(n, *[1] * len(shape), generator=g))
        return (torch.randn(n, *shape, generator=g) * scale * spread).to(rgb.device)

    light = rgb.clamp(0, 1).pow(2.2)
    warmth, tint = normal(temperature, 1), normal(0.08, 1)
    gains = torch.cat((warmth, tint, -warmth), 1) * coins(0.8, n, g, rgb)[:, :, 0, 0]
    light = light * torch.exp2(normal(1.3, 1) + gains)[:, :, None, None]
    # For a third of them highlights roll off, as in cameras and raw developers, instead of clipping.
    peak = torch.exp2(torch.rand(n, 1, 1, 1, generator=g) * 2).to(rgb.device)
    shoulder = light * (1 + light / peak.square()) / (1 + light)
    light = torch.where(coins(0.35, n, g, rgb), shoulder * 1.3, light)
    encoded = light.clamp(0, 1).pow(1 / 2.2)
    encoded = encoded.clamp_min(1e-4).pow(torch.exp2(normal(0.45, 1))[:, :, None, None])
    pivot = (0.3 + 0.3 * torch.rand(n, 1, 1, 1, generator=g)).to(rgb.device)
    encoded = (encoded - pivot) * torch.exp2(normal(0.35, 1))[:, :, None, None] + pivot
    encoded = encoded + normal(0.05, 1)[:, :, None, None]
    luma = (encoded * encoded.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    encoded = luma + (encoded - luma) * torch.exp2(normal(0.45, 1))[:, :, None, None]
    return _rotate_hue(encoded, normal(0.06, 1)[:, 0]).clamp(0, 1)


def _rotate_hue(rgb: Tensor, angle: Tensor) -> Tensor:
    """The colours rotated around the gray axis by `angle` (B,) radians."""
    axis = 1 / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    cross = rgb.new_tensor(((0, -axis, axis), (axis, 0, -axis), (-axis, axis, 0)))
    rotation = cos * torch.eye(3, device=rgb.device) + sin * cross + (1 - cos) / 3
    return torch.einsum("bij,bjhw->bihw", rotation, rgb)
