"""HDNet: hierarchical dynamic image harmonization (Chen et al. 2023), and HDNet-lite, a quarter as wide.

A U shape from 256 down to 32 pixels. At its bottleneck the local dynamic module (LD) gives every
foreground position the background position most like it; after three of the decoder's concatenations the
mask-aware global dynamic module (MGD) applies kernels predicted from the picture, one set to the
foreground and one to the background.

At width 32 it has 10.41 M parameters, at width 8 0.65 M (Table 1). At 256 x 256 its convolutions and products
are 29.0 G multiply-adds; Sun, Yao, Ban 2024, Table 3, gives 48.05 G FLOPs without a word on the counting.

The network is that of the authors' public code, from which `networks.published` reads weights: instance
normalisation in the encoder but for its deepest layer, RainNet's region-aware one (RAIN) in the decoder,
tanh; leaky activations that run in place, so that the skips that MGD reads are activated; masks resized to
the nearest; weights drawn from N(0, 0.02). Its LD is not that of Eq. 2 to 5: see `LocalDynamicAsPublished`.
`local = "paper"` is the paper's. docs/networks.md lists where we differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.blocks import Painter, down, network_input, touched_by, up

_STRIDES = (2, 1, 2, 1, 2, 1, 1)  # of the encoder's layers after the stem
_DYNAMIC = (1, 2, 3)  # MGD before the decoder's last layers, counted from the output
_EPS = 1e-5


@dataclass(frozen=True)
class HDNetConfig:
    """width: channels of the stem, up to eight times as many below. local: LD as the public code has it, as
    the paper has it, or none. neighbours: K of the paper's LD; the public code's is 1. region: what follows
    the concatenations: MGD, MGD with a mask that it predicts itself ("learned", the paper's HDNet*),
    RainNet's spatial attention, or nothing.
    """

    width: int = 32
    local: Literal["published", "paper", "none"] = "published"
    neighbours: int = 1
    region: Literal["dynamic", "learned", "attention", "none"] = "dynamic"
    working_size: int = 256


@network("hdnet", sizes={"hdnet-lite": {"width": 8}})
class HDNet(Painter):
    """See the module."""

    paper = "Hierarchical Dynamic Image Harmonization (Chen, Gu, Li, Lan, Meng, Wang, Li; ACM MM 2023)"
    Config = HDNetConfig
    step = 16

    def __init__(self, config: HDNetConfig) -> None:
        super().__init__()
        if config.local == "published" and config.neighbours != 1:
            raise ValueError('HDNet has several neighbours only with local = "paper".')
        self.config, self.working_size = config, config.working_size
        widths = [config.width * times for times in (1, 2, 4, 8, 8, 8, 8, 8)]
        self.stem = nn.Conv2d(4, widths[0], 3, padding=1, bias=False)
        pairs = list(zip(widths[:-1], widths[1:], _STRIDES, strict=True))
        self.encoder = nn.ModuleList(down(a, b, stride) for a, b, stride in pairs)
        if config.local == "published":
            self.local: nn.Module = LocalDynamicAsPublished(widths[-1])
        elif config.local == "paper":
            self.local = LocalDynamic(widths[-1], config.neighbours)
        # Every decoder layer but the deepest reads the skip of equal width and what lies below it.
        self.decoder = nn.ModuleList(
            up(b if depth == len(pairs) else 2 * b, a, stride)
            for depth, (a, b, stride) in reversed(list(enumerate(pairs, 1)))
        )
        self.norms = nn.ModuleList(RAIN(a) for a, _, _ in reversed(pairs))
        if config.region != "none":
            of_region = _REGIONS[config.region]
            self.dynamic = nn.ModuleDict({str(i): of_region(2 * widths[i - 1]) for i in _DYNAMIC})
        self.head = nn.ConvTranspose2d(2 * widths[0], 3, 3, 1, 1)
        self.apply(_as_published)

    def paint(self, composite: Tensor, mask: Tensor) -> Tensor:
        """(B,3,H,W), (B,1,H,W) -> (B,3,H,W) in [0,1]; H and W multiples of 16."""
        x = self.stem(network_input(composite, mask))
        skips = []
        for layer in self.encoder:
            activated = F.leaky_relu(x, 0.2)
            skips.append(activated)
            x = layer(activated)
            if layer is not self.encoder[-1]:
                x = F.instance_norm(x)
        if self.config.local != "none":
            x = self.local(x, mask)
        for layer, norm in zip(self.decoder, self.norms, strict=True):
            depth = len(skips)
            x = torch.cat((skips.pop(), norm(layer(F.relu(x)), mask)), 1)
            if self.config.region != "none" and str(depth) in self.dynamic:
                x = self.dynamic[str(depth)](x, mask)
        return (torch.tanh(self.head(F.relu(x))) + 1) / 2

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights by our names from those of the authors' code; what it never reads is left out.

        Each of our deepest-first decoder layers is one of `model_layer72` and 8 to 13. The region-aware
        normalisation's gains are stored there as what is added to 1. Raises KeyError for a missing name.
        """
        encoder = [f"model_layer{name}" for name in ("1", "2", "3", "4", "5", "6", "71")]
        decoder = [f"model_layer{name}" for name in ("72", "8", "9", "10", "11", "12", "13")]
        found = {"stem.weight": weights["model_layer0.weight"]}
        found |= {f"encoder.{i}.weight": weights[f"{name}.1.weight"] for i, name in enumerate(encoder)}
        for i, name in enumerate(decoder):
            found[f"decoder.{i}.weight"] = weights[f"{name}.1.weight"]
            of_regions = [
                torch.stack(
                    [weights[f"{name}norm.{region}_{kind}"] for region in ("foreground", "background")]
                )
                for kind in ("gamma", "beta")
            ]
            gain, shift = (each[:, None, :, None, None] for each in of_regions)
            found |= {f"norms.{i}.gain": 1 + gain, f"norms.{i}.shift": shift}
        for depth in _DYNAMIC:
            for ours, theirs in (("summary", 1), ("kernels", 3)):
                for kind in ("weight", "bias"):
                    name = f"model_layer{14 - depth}att.conv_kernel.{theirs}.{kind}"
                    found[f"dynamic.{depth}.{ours}.{kind}"] = weights[name]
        fused = {name.rpartition(".")[2]: value for name, value in weights.items() if ".linear." in name}
        found |= {"local.adapt.weight": fused["weight"][..., None], "local.adapt.bias": fused["bias"]}
        return found | {f"head.{kind}": weights[f"model_out.1.{kind}"] for kind in ("weight", "bias")}


class LocalDynamicAsPublished(nn.Module):
    """LD as the authors' code computes it: each foreground position is fused with one background position.

    It is the one of the greatest product, not of the greatest cosine. Its weight comes from a softmax over
    all positions of the picture instead of over the K neighbours: with 1,024 positions it is about a
    thousandth, so that the reference is nearly nothing, and what remains of LD is a 1 x 1 convolution of the
    foreground.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.adapt = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w); background positions unchanged."""
        coverage = nearest(mask, features)
        inside = features * coverage
        fused = self.adapt(torch.cat((self.reference(inside, features * (1 - coverage)), inside), 1))
        return fused * coverage + features * (1 - coverage)

    def reference(self, inside: Tensor, outside: Tensor) -> Tensor:
        """Of the features of the foreground and of the background, each 0 in the other: (B,C,h,w)."""
        query, support = (x.flatten(2).transpose(1, 2) for x in (inside, outside))
        likeness, where = (query @ support.transpose(1, 2)).max(2)
        picture = torch.arange(len(query), device=query.device)[:, None]
        chosen = likeness.softmax(1)[..., None] * support[picture, where]
        return chosen.transpose(1, 2).reshape(inside.shape)


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

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w)."""
        batch, channels = features.shape[:2]
        summary = torch.sigmoid(self.summary(F.adaptive_avg_pool2d(features, 1)))
        kernels = self.kernels(summary).view(batch, self.REGIONS, channels, channels)
        regions = (kernels @ features.flatten(2)[:, None]).view(batch, self.REGIONS, *features.shape[1:])
        coverage = self.coverage(features, mask)
        return regions[:, 0] * coverage + regions[:, 1] * (1 - coverage)

    def coverage(self, features: Tensor, mask: Tensor) -> Tensor:
        """The share of the foreground's kernels at each position, (B,1,h,w)."""
        return nearest(mask, features)


class MaskLearningDynamic(MaskAwareGlobalDynamic):
    """HDNet*'s: the mask is predicted from the features.

    The paper does not say how; here by a 1x1 convolution and a softmax.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.guide = nn.Conv2d(channels, self.REGIONS, 1)

    def coverage(self, features: Tensor, mask: Tensor) -> Tensor:
        """The predicted mask, (B,1,h,w)."""
        return self.guide(features).softmax(1)[:, :1]


class SpatialAttention(nn.Module):
    """RainNet's, the ablation's SA: every value times a sigmoid of a 1x1 convolution of its position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w) -> the same. The mask is not read."""
        return features * torch.sigmoid(self.weigh(features))


_REGIONS: dict[str, Callable[[int], nn.Module]] = {
    "dynamic": MaskAwareGlobalDynamic,
    "learned": MaskLearningDynamic,
    "attention": SpatialAttention,
}


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
        coverage = nearest(mask, features)
        mean, spread = _moments(features, coverage)
        scene_mean, scene_spread = _moments(features, 1 - coverage)
        inside = (features - mean) / spread * scene_spread + scene_mean
        outside = (features - scene_mean) / scene_spread
        inside, outside = (x * self.gain[i] + self.shift[i] for i, x in enumerate((inside, outside)))
        return inside * coverage + outside * (1 - coverage)


def nearest(mask: Tensor, features: Tensor) -> Tensor:
    """The mask's value nearest to each position of a level, (B,1,h,w), as the public code resizes it."""
    return F.interpolate(mask, features.shape[-2:], mode="nearest")


def _moments(features: Tensor, coverage: Tensor) -> tuple[Tensor, Tensor]:
    """A region's mean and standard deviation, both (B,C,1,1), with the public code's small terms."""
    area = coverage.sum((2, 3), keepdim=True) + _EPS
    mean = (features * coverage).sum((2, 3), keepdim=True) / area
    variance = ((features - mean) * coverage).square().sum((2, 3), keepdim=True) / area
    return mean, (variance + _EPS).sqrt()


def _as_published(module: nn.Module) -> None:
    """Draws a convolution's weights from N(0, 0.02), without a bias."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
