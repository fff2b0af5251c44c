"""GKNet: learning global-aware kernel for image harmonization (Shen, Zhang et al. 2023).

A U-Net in the manner of S2AM and iDIH: two 3x3 convolutions a level, spatial-separated attention on the
decoder's concatenations, the answer mixed with the composite by a predicted attention map. Beside it, the
kernel prediction branch: a transformer over the deepest features (LRE), then one kernel prediction block
(KPB) a level, deepest first, each fusing what came from below with the encoder's features by selective
correlation fusion (SCF). Its kernels, 3x3 for every channel of every pixel, filter the decoder's features
before each of its layers (Eq. 5 and 6), so that the answer is phi_D(... phi_D(F * K)) M + (1 - M) I.

The paper prints neither widths nor depths nor a parameter count (its Figure 2 only draws one). Ours: four
levels of 32 to 256 channels, two transformer layers, eight groups in SCF, 3x3 kernels; 11.64 M parameters.
Kernels begin as the identity, so that training starts from the plain U-Net.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.blocks import Painter, mask_at, network_input

KERNEL = 3  # N of Eq. 6


@dataclass(frozen=True)
class GKNetConfig:
    """width: channels of the first level, doubled by each of the next. levels: of the U shape and of kernels.
    layers, heads: of LRE. groups: of SCF. kernels, reference, fusion: KPB, LRE and SCF, which the paper's
    Table 4 adds one after the other: without `kernels` there is neither of the others, without `fusion` what
    comes from the encoder and from below is added.
    """

    width: int = 32
    levels: int = 4
    layers: int = 2
    heads: int = 8
    groups: int = 8
    kernels: bool = True
    reference: bool = True
    fusion: bool = True
    working_size: int = 256


@network("gknet")
class GKNet(Painter):
    """See the module."""

    paper = "Learning Global-aware Kernel for Image Harmonization (Shen, Zhang et al.; ICCV 2023)"
    Config = GKNetConfig

    def __init__(self, config: GKNetConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        self.step = 1 << (config.levels - 1)
        widths = [config.width << level for level in range(config.levels)]
        self.encoder = nn.ModuleList(
            _twice(a, b, normalised=level > 0)
            for level, (a, b) in enumerate(zip([4, *widths], widths, strict=False))
        )
        upwards = widths[::-1]
        if config.kernels:
            if config.reference:
                self.reference = LongDistanceReference(widths[-1], config.layers, config.heads)
            self.kernels = nn.ModuleList(
                KernelPrediction(below, width, config.groups, config.fusion)
                for below, width in zip([upwards[0], *upwards], upwards, strict=False)
            )
        self.attention = nn.ModuleList(
            SpatialSeparatedAttention(below + width) for below, width in _steps(upwards)
        )
        self.decoder = nn.ModuleList(_twice(below + width, width) for below, width in _steps(upwards))
        self.mix = nn.Conv2d(widths[0], 1, 1)
        self.head = nn.Conv2d(widths[0], 3, 1)

    def paint(self, composite: Tensor, mask: Tensor) -> Tensor:
        """(B,3,H,W), (B,1,H,W) -> (B,3,H,W); H and W divisible by every level."""
        x = network_input(composite, mask)
        features: list[Tensor] = []
        for layers in self.encoder:
            x = layers(F.max_pool2d(x, 2) if features else x)
            features.append(x)
        kernels = self.predict_kernels(features) if self.config.kernels else [None] * len(features)
        x = _modulated(features.pop(), kernels[0])
        for attention, layers, kernel in zip(self.attention, self.decoder, kernels[1:], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layers(attention(torch.cat((x, features.pop()), 1), mask))
            x = _modulated(x, kernel)
        share = torch.sigmoid(self.mix(x))
        return share * composite + (1 - share) * self.head(x)

    def predict_kernels(self, features: list[Tensor]) -> list[Tensor | None]:
        """Eq. 1, deepest first: K^l (B, C_l, 9, h_l, w_l) of every level of the encoder's features."""
        x = self.reference(features[-1]) if self.config.reference else features[-1]
        kernels: list[Tensor | None] = []
        for block, encoded in zip(self.kernels, reversed(features), strict=True):
            kernel, x = block(encoded, x)
            kernels.append(kernel)
        return kernels


class LongDistanceReference(nn.Module):
    """LRE: transformer layers over the deepest features, a convolution after them."""

    POSITIONS = 16  # a side of the learned positions, stretched over the picture

    def __init__(self, channels: int, layers: int, heads: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(1, channels, self.POSITIONS, self.POSITIONS))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                channels,
                heads,
                4 * channels,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.after = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> F_LR, the same shape."""
        positions = F.interpolate(self.positions, features.shape[-2:], mode="bilinear", align_corners=False)
        tokens = (features + positions).flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.after(tokens.transpose(1, 2).reshape(features.shape))


class KernelPrediction(nn.Module):
    """KPB: fuses what the level below hands up with the encoder's features, and predicts kernels from it."""

    def __init__(self, below: int, channels: int, groups: int, selective: bool = True) -> None:
        super().__init__()
        if selective:
            self.fuse: nn.Module = SelectiveCorrelationFusion(below, channels, groups)
        else:
            self.fuse = Addition(below, channels)
        self.after = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.kernel = nn.Conv2d(channels, channels * KERNEL**2, 1)
        identity = torch.zeros(channels, KERNEL**2)
        identity[:, KERNEL**2 // 2] = 1
        nn.init.normal_(self.kernel.weight, std=0.01 * channels**-0.5)
        with torch.no_grad():
            self.kernel.bias.copy_(identity.flatten())  # type: ignore[union-attr]

    def forward(self, encoded: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """F_E^l (B,C,h,w), F_KPB^(l-1) -> K^l (B,C,9,h,w), F_KPB^l (B,C,h,w)."""
        fused = self.after(self.fuse(encoded, below))
        return self.kernel(fused).unflatten(1, (-1, KERNEL**2)), fused


class SelectiveCorrelationFusion(nn.Module):
    """SCF (Eq. 2 to 4): how much of each channel comes from the encoder, how much from below."""

    def __init__(self, below: int, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.convolutions = nn.ModuleList(nn.Conv2d(c, channels, 3, padding=1) for c in (channels, below))
        self.vectors = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, channels // 2), nn.ReLU(), nn.Linear(channels // 2, channels))
            for _ in range(2)
        )
        self.factors = nn.Conv2d(1, 2 * channels, groups)  # n x n: the whole correlation at once
        self.select = nn.ModuleList(nn.Linear(channels, channels) for _ in range(2))
        self.strength = nn.Parameter(torch.ones(()))  # b of Eq. 3

    def forward(self, encoded: Tensor, below: Tensor) -> Tensor:
        """F_E^l (B,C,h,w), F_KPB^(l-1) (B,C',h/2,w/2) or of equal size -> (B,C,h,w)."""
        features = [layer(x) for layer, x in zip(self.convolutions, (encoded, below), strict=True)]
        alphas = [mlp(x.mean((2, 3))) for mlp, x in zip(self.vectors, features, strict=True)]
        of_encoder, of_below = (alpha.unflatten(1, (self.groups, -1)) for alpha in alphas)
        correlation = of_below @ of_encoder.transpose(1, 2)  # Eq. 2
        factors = self.factors(correlation[:, None]).flatten(1).chunk(2, dim=1)
        ours, theirs = (
            torch.sigmoid(alpha + self.strength * fc(factor))[..., None, None] * x  # Eq. 3
            for alpha, factor, fc, x in zip(alphas, factors, self.select, features, strict=True)
        )
        return ours + F.interpolate(theirs, ours.shape[-2:], mode="bilinear", align_corners=False)  # Eq. 4


class Addition(nn.Module):
    """The ablation's fusion without SCF: both convolved and added."""

    def __init__(self, below: int, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(c, channels, 3, padding=1) for c in (channels, below))

    def forward(self, encoded: Tensor, below: Tensor) -> Tensor:
        """As `SelectiveCorrelationFusion`."""
        ours, theirs = (layer(x) for layer, x in zip(self.convolutions, (encoded, below), strict=True))
        return ours + F.interpolate(theirs, ours.shape[-2:], mode="bilinear", align_corners=False)


def _modulated(features: Tensor, kernels: Tensor | None) -> Tensor:
    return features if kernels is None else modulate(features, kernels)


def modulate(features: Tensor, kernels: Tensor) -> Tensor:
    """Eq. 6: every channel of every pixel filtered by a 3x3 kernel of its own, zeros beyond the edge.

    features (B,C,h,w), kernels (B,C,9,h,w), row by row from the upper left neighbour -> (B,C,h,w).
    """
    height, width = features.shape[-2:]
    around = F.pad(features, [KERNEL // 2] * 4)
    filtered = torch.zeros_like(features)
    for index in range(KERNEL**2):
        y, x = divmod(index, KERNEL)
        filtered = filtered + kernels[:, :, index] * around[..., y : y + height, x : x + width]
    return filtered


class SpatialSeparatedAttention(nn.Module):
    """S2AM's: one channel gate for the scene, one for what is learned of the object, one for what is kept."""

    blur: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scene, self.object, self.keep = (ChannelGate(channels) for _ in range(3))
        self.learn = _twice(channels, channels)
        blur = torch.exp(-torch.arange(-3.0, 4.0).square() / 2)
        self.register_buffer("blur", torch.outer(blur, blur)[None, None] / blur.sum() ** 2, persistent=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w). The mask's edge is softened, so that no seam is learned."""
        edge = F.pad(mask_at(mask, features), [3] * 4, mode="replicate")
        soft = F.conv2d(edge, self.blur.to(edge.dtype))
        inside = self.learn(self.object(features)) + self.keep(features)
        return soft * inside + (1 - soft) * self.scene(features)


class ChannelGate(nn.Module):
    """Channels weighed by their mean and maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(2 * channels, channels // 8), nn.ReLU(), nn.Linear(channels // 8, channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> the same."""
        summary = torch.cat((features.mean((2, 3)), features.amax((2, 3))), 1)
        return features * torch.sigmoid(self.weigh(summary))[..., None, None]


def _twice(channels: int, out_channels: int, normalised: bool = True) -> nn.Sequential:
    """Two 3x3 convolutions with ReLU."""
    layers: list[nn.Module] = []
    for a in (channels, out_channels):
        layers.append(nn.Conv2d(a, out_channels, 3, padding=1, bias=not normalised))
        if normalised:
            layers.append(nn.BatchNorm2d(out_channels))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _steps(upwards: list[int]) -> list[tuple[int, int]]:
    """The widths below and at each decoder layer."""
    return list(pairwise(upwards))
