"""EfficientNet-Lite0 up to stride 16 (Tan and Le 2019): what things are.

Batch normalisation is folded into the convolutions, padding is TensorFlow's "same".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE, CHANNELS = 16, 112
MEANING = 24  # numbers that are left of what the object and its scene are
_SIDE = 96  # pixels that the encoder sees at most: enlarging shows it nothing
# Expansion, channels, kernel, stride, blocks of each stage (Tan and Le 2019, without squeeze and excitation).
_STAGES = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3))


class Encoder(nn.Module):
    """(B,3,H,W) in [0,1] -> (B,112,H/16,W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        blocks, channels = [], 32
        for expansion, out, kernel, stride, count in _STAGES:
            for index in range(count):
                blocks.append(Bottleneck(channels, out, kernel, 1 if index else stride, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.stem((rgb * 255 - 127) / 128)
        for block in self.blocks:
            x = block(x)
        return x


class _Convolution(nn.Module):
    def __init__(self, ins: int, out: int, kernel: int, stride: int, groups: int = 1, *, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(ins, out, kernel, stride, groups=groups)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        missing = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        down, across = missing
        x = self.conv(F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)))
        return F.relu6(x) if self.act else x


class Bottleneck(nn.Module):
    def __init__(self, ins: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = ins * expansion
        layers = [_Convolution(ins, inner, 1, 1)] if expansion > 1 else []
        layers.append(_Convolution(inner, inner, kernel, stride, inner))
        layers.append(_Convolution(inner, out, 1, 1, act=False))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and ins == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class Meaning(nn.Module):
    """What the object and its scene are, in a few numbers: what is likely to be green, or skin, or sky.

    The encoder's weights are Tan and Le's and stay as they are. The bottleneck is narrow, because features of
    a hundred channels know few thousand photographs by heart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in range(2))
        self.bottleneck = nn.Linear(2 * CHANNELS, MEANING)

    def see(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite (B,3,H,W), mask (B,1,H,W), both in [0,1] -> the encoder's means of both parts (B,2,C)."""
        with torch.no_grad():
            size = [min(side, _SIDE) for side in composite.shape[-2:]]
            small = F.interpolate(composite, size, mode="bilinear", antialias=True)
            # Channels last takes two thirds of the time, and gives the same numbers.
            found = self.encoder(small.contiguous(memory_format=torch.channels_last))
            inside = F.adaptive_avg_pool2d(mask, found.shape[-2:])
            weights = torch.cat((inside, 1 - inside), 1).flatten(2)
            total = weights.sum(2, keepdim=True).clamp_min(1e-3)
            means: Tensor = weights @ found.flatten(2).transpose(1, 2) / total
        return means

    def forward(self, seen: Tensor) -> Tensor:
        """What `see` found (B,2,C) -> (B,MEANING)."""
        parts = [norm(each) for norm, each in zip(self.norms, seen.unbind(1), strict=True)]
        found: Tensor = self.bottleneck(torch.cat(parts, 1))
        return found
