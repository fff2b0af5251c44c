"""HDNet: hierarchical dynamic image harmonization (Chen et al. 2023), and HDNet-lite, a quarter as wide.

A U shape from 256 down to 32 pixels. At its bottleneck the local dynamic module (LD) gives every
foreground position the background position most like it; after three of the decoder's concatenations the
mask-aware global dynamic module (MGD) applies kernels predicted from the picture, one set to the
foreground and one to the background.

At width 32 it has 10.41 M parameters, at width 8 0.65 M (Table 1). At 256 x 256 its convolutions and products
are 29.0 G multiply-adds; Sun, Yao, Ban 2024, Table 3, gives 48.05 G FLOPs without a word on the counting.

Where the paper is silent we follow what is known of its public code: instance normalisation in the encoder,
RainNet's region-aware one (RAIN) in the decoder, tanh. That code is said to differ in two points from Eq. 2
to 4, where we follow the paper: cosine similarity, and softmax over the K neighbours. K is 1, the paper's
best (its Figure 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.blocks import Painter, down, mask_at, network_input, touched_by, up
from glihamba.networks.moments import weighted_moments

_STRIDES = (2, 1, 2, 1, 2, 1, 1)  # of the encoder's layers after the stem
_DYNAMIC = (1, 2, 3)  # MGD before the decoder's last layers, counted from the output


@dataclass(frozen=True)
class HDNetConfig:
    """width: channels of the stem, up to eight times as many below. neighbours: K of LD."""

    width: int = 32
    neighbours: int = 1
    working_size: int = 256


@network("hdnet", sizes={"hdnet-lite": {"width": 8}})
class HDNet(Painter):
    """See the module."""

    paper = "Hierarchical Dynamic Image Harmonization (Chen, Gu, Li, Lan, Meng, Wang, Li; ACM MM 2023)"
    Config = HDNetConfig
    step = 16

    def __init__(self, config: HDNetConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        widths = [config.width * times for times in (1, 2, 4, 8, 8, 8, 8, 8)]
        self.stem = nn.Conv2d(4, widths[0], 3, padding=1, bias=False)
        pairs = list(zip(widths[:-1], widths[1:], _STRIDES, strict=True))
        self.encoder = nn.ModuleList(down(a, b, stride) for a, b, stride in pairs)
        self.local = LocalDynamic(widths[-1], config.neighbours)
        # Every decoder layer but the deepest reads what lies below it and the skip of equal width.
        self.decoder = nn.ModuleList(
            up(b if depth == len(pairs) else 2 * b, a, stride)
            for depth, (a, b, stride) in reversed(list(enumerate(pairs, 1)))
        )
        self.norms = nn.ModuleList(RAIN(a) for a, _, _ in reversed(pairs))
        self.dynamic = nn.ModuleDict({str(i): MaskAwareGlobalDynamic(2 * widths[i - 1]) for i in _DYNAMIC})
        self.head = nn.Conv2d(2 * widths[0], 3, 3, padding=1)

    def paint(self, composite: Tensor, mask: Tensor) -> Tensor:
        """(B,3,H,W), (B,1,H,W) -> (B,3,H,W) in [0,1]; H and W multiples of 16."""
        x = self.stem(network_input(composite, mask))
        skips = []
        for layer in self.encoder:
            skips.append(x)
            x = F.instance_norm(layer(F.leaky_relu(x, 0.2)))
        x = self.local(x, mask)
        for layer, norm in zip(self.decoder, self.norms, strict=True):
            depth = len(skips)
            x = torch.cat((norm(layer(F.relu(x)), mask), skips.pop()), 1)
            if str(depth) in self.dynamic:
                x = self.dynamic[str(depth)](x, mask)
        return (torch.tanh(self.head(F.relu(x))) + 1) / 2


class LocalDynamic(nn.Module):
    """LD (Eq. 2 to 5): each foreground position is fused with its K nearest background positions.

    A position is foreground as soon as the object covers any of its cell, so that background positions
    hold nothing of the object. Without any background position the features stay as they are.
    """

    def __init__(self, channels: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.adapt = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w); background positions unchanged."""
        foreground = touched_by(mask, features)
        background = ~foreground.flatten(1)
        tokens = features.flatten(2).transpose(1, 2)
        reference = self.reference(tokens, background).transpose(1, 2).reshape(features.shape)
        fused = self.adapt(torch.cat((reference, features), 1))  # Eq. 5
        has_background = background.any(1).view(-1, 1, 1, 1)
        return torch.where(foreground & has_background, fused, features)

    def reference(self, tokens: Tensor, background: Tensor) -> Tensor:
        """Eq. 2 to 4: the reference of every position, from background positions only.

        tokens (B,N,C), background (B,N) bool -> (B,N,C); zeros where there is no background.
        """
        unit = F.normalize(tokens, dim=-1)
        similarity = unit @ unit.transpose(1, 2)  # Eq. 3
        similarity = similarity.masked_fill(~background[:, None, :], -torch.inf)
        nearest, where = similarity.topk(min(self.neighbours, tokens.shape[1]), dim=-1)
        # A picture with fewer background positions than K has the others at -inf: they weigh nothing.
        found = nearest.isfinite()
        share = nearest.masked_fill(~found, -1e4).softmax(-1) * found
        picture = torch.arange(len(tokens), device=tokens.device).view(-1, 1, 1)
        return (share[..., None] * tokens[picture, where]).sum(2)  # Eq. 4


class MaskAwareGlobalDynamic(nn.Module):
    """MGD (Eq. 6): F' = (F * W_f) M + (F * W_b) (1 - M), with 1x1 kernels predicted from the picture."""

    REGIONS = 2

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.summary = nn.Conv2d(channels, self.REGIONS**2, 1)
        self.kernels = nn.Conv2d(self.REGIONS**2, self.REGIONS * channels**2, 1, groups=self.REGIONS)
        nn.init.normal_(self.kernels.weight, std=0.1 * channels**-0.5)
        nn.init.normal_(self.kernels.bias, std=channels**-0.5)  # type: ignore[arg-type]

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w)."""
        batch, channels = features.shape[:2]
        summary = torch.sigmoid(self.summary(F.adaptive_avg_pool2d(features, 1)))
        kernels = self.kernels(summary).view(batch, self.REGIONS, channels, channels)
        regions = (kernels @ features.flatten(2)[:, None]).view(batch, self.REGIONS, *features.shape[1:])
        coverage = mask_at(mask, features)
        return regions[:, 0] * coverage + regions[:, 1] * (1 - coverage)


class RAIN(nn.Module):
    """Region-aware instance normalisation (RainNet): the foreground takes the background's mean and spread.

    Each region then has a gain and a shift of its own, channel by channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(2, 1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(2, 1, channels, 1, 1))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w)."""
        coverage = mask_at(mask, features)
        mean, spread = weighted_moments(features, coverage)
        scene_mean, scene_spread = weighted_moments(features, 1 - coverage)
        inside = (features - mean) / spread * scene_spread + scene_mean
        outside = (features - scene_mean) / scene_spread
        inside, outside = (x * self.gain[i] + self.shift[i] for i, x in enumerate((inside, outside)))
        return inside * coverage + outside * (1 - coverage)
