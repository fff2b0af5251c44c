"""Image harmonization by matching regional references (Zhu et al. 2022): `regional` and `regional-p`.

A U shape from 256 down to 8 pixels that predicts a residual (Eq. 7). In its decoder, at 32 pixels,
locations-to-location translation (LTL) rebuilds each foreground location from the background locations
like it; at 128 pixels, patches-to-location translation (PTL) gives it the mean and spread of the
background patches whose content is like its own.

Widths are C, 2C, 4C, 4C, 8C, none above 1024. The paper does not print them; they follow from its Table 5:

| | C = 64 | 128 | 192 | 256 |
|---|---|---|---|---|
| paper | 9.48 M | 37.81 M | 72.39 M | 117.42 M |
| here | 9.48 M | 37.91 M | 72.68 M | 118.02 M |

Also ours: batch normalisation in the U shape (instance normalisation would take away the statistics that
PTL transfers), and a self-attention layer of width C/8 before LTL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.blocks import Painter, down, mask_at, network_input, touched_by, up
from glihamba.networks.hdnet import RAIN
from glihamba.networks.moments import weighted_moments

_PTL = 2  # the decoder layer, counted from the output, whose result PTL translates: 128 pixels of 256
_SIDES = {16: 5, 32: 4, 64: 3}  # pixels of 256 -> the decoder layer, counted from the output


@dataclass(frozen=True)
class RegionalConfig:
    """width: C. widest: no layer has more channels.

    The rest is for the paper's ablations. residual: predict what is added to the composite, not the picture.
    locations: where LTL works, in pixels a side at 256 x 256: of 16, 32 and 64. attention: LTL's
    self-attention alone instead of it. appearance: what gives the foreground the background's statistics at
    128 pixels: PTL, RainNet's RAIN or nothing. patch, stride: of PTL's patches, as parts of the side.
    """

    width: int = 64
    widest: int = 1024
    residual: bool = True
    locations: tuple[int, ...] = (32,)
    attention: bool = False
    appearance: Literal["patches", "rain", "none"] = "patches"
    patch: int = 8
    stride: int = 32
    working_size: int = 256


@network("regional", sizes={"regional-p": {"width": 256}})
class Regional(Painter):
    """See the module."""

    paper = "Image Harmonization by Matching Regional References (Zhu, Zhang, Lin, Wu, Guo; 2022)"
    Config = RegionalConfig
    step = 64

    def __init__(self, config: RegionalConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        widths = [min(times * config.width, config.widest) for times in (1, 2, 4, 4, 8)]
        self.encoder = nn.ModuleList(down(a, b) for a, b in zip([4, *widths], widths, strict=False))
        self.encoder_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.decoder = nn.ModuleList(
            up(below if depth == 0 else 2 * below, out) for depth, (below, out) in enumerate(upwards)
        )
        self.decoder_norms = nn.ModuleList(nn.BatchNorm2d(out) for _, out in upwards)
        of_locations = SelfAttention if config.attention else LocationsToLocation
        for side in config.locations:
            self.add_module(_named(side), of_locations(widths[_SIDES[side] - 2]))
        if config.appearance == "patches":
            self.patches: nn.Module = PatchesToLocation(config.patch, config.stride)
        elif config.appearance == "rain":
            self.patches = RAIN(widths[_PTL - 2])
        self.head = nn.ConvTranspose2d(2 * widths[0], 3, 4, 2, 1)

    def paint(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite + residual, (B,3,H,W); H and W multiples of 64. With Eq. 7's mask: I + R M.

        Without the residual, the picture itself.
        """
        x = self.encoder[0](network_input(composite, mask))
        skips = []
        for layer, norm in zip(self.encoder[1:], self.encoder_norms, strict=True):
            skips.append(x)
            x = norm(layer(F.leaky_relu(x, 0.2)))
        for layer, norm in zip(self.decoder, self.decoder_norms, strict=True):
            depth = len(skips) + 1  # of the layer that is undone
            x = norm(layer(F.relu(x)))
            side = 256 >> (depth - 1)
            if side in self.config.locations:
                x = self.get_submodule(_named(side))(x, mask)
            elif depth == _PTL and self.config.appearance != "none":
                x = self.patches(x, mask)
            x = torch.cat((x, skips.pop()), 1)
        painted = torch.tanh(self.head(F.relu(x)))
        return composite + painted if self.config.residual else (painted + 1) / 2


def _named(side: int) -> str:
    """The name of LTL at a side; the only one that the default has is the shortest."""
    return "locations" if side == 32 else f"locations_{side}"


class LocationsToLocation(nn.Module):
    """LTL: each foreground location joined with the background locations like it (Eq. 1 and 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = SelfAttention(channels)
        self.fuse = nn.Linear(2 * channels, channels)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w). Without any background location only attention is applied."""
        x = F.instance_norm(self.attention(features))
        foreground = touched_by(mask, features).flatten(1)
        tokens = x.flatten(2).transpose(1, 2)
        fused = self.fuse(torch.cat((tokens, related(tokens, ~foreground)), -1))  # Eq. 2
        change = foreground & ~foreground.all(1, keepdim=True)
        return torch.where(change[..., None], fused, tokens).transpose(1, 2).reshape(features.shape)


def related(tokens: Tensor, background: Tensor) -> Tensor:
    """Eq. 1: Softmax(T T_b') T_b, for every location. tokens (B,N,C), background (B,N) bool -> (B,N,C)."""
    likeness = tokens @ tokens.transpose(1, 2)
    lowest = torch.finfo(likeness.dtype).min
    return likeness.masked_fill(~background[:, None], lowest).softmax(-1) @ tokens


class SelfAttention(nn.Module):
    """A non-local block of an eighth of the width, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, 3 * (channels // 8), 1)
        self.project_out = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,C,h,w) -> the same. The mask is not read: the ablation calls this in LTL's place."""
        heads = (
            self.project_in(features).flatten(2).transpose(1, 2).unsqueeze(1)
        )  # one, as ONNX wants four axes
        query, key, value = heads.chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(query, key, value).squeeze(1).transpose(1, 2)
        return features + self.project_out(attended.reshape(len(features), -1, *features.shape[2:]))


class PatchesToLocation(nn.Module):
    """PTL: background patches lend each foreground location their appearance (Eq. 3 to 5).

    Patches are an eighth of the side, a 32nd apart: 29 x 29 of them, overlapping, unless told otherwise.
    Their statistics count background pixels only, and patches without any are left out. Eq. 3's sigma is
    printed with the square outside the sum, where it would always be zero; it is the standard deviation here.
    """

    SIDE = 128  # pixels of the features at 256 x 256

    def __init__(self, share: int = 8, stride: int = 32) -> None:
        super().__init__()
        self.share, self.stride = share, stride
        # The linear projection that squeezes a normalised patch to one token: the same for all channels.
        # It has a patch's positions at 128 pixels, 16 x 16 by default, and is resampled for other sizes.
        self.positions = positions = self.SIDE // share
        self.squeeze = nn.Parameter(torch.empty(1, 1, positions, positions).uniform_(-1, 1) / positions)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B,C,h,w), (B,1,H,W) -> (B,C,h,w), h and w multiples of 32. Background stays as it is."""
        foreground = touched_by(mask, features)
        mean, spread = weighted_moments(features, mask_at(mask, features))
        content = (features - mean) / spread  # the foreground's, normalised within itself
        share, *patches = self.describe(features, (~foreground).to(features.dtype))
        translated = []
        for index, (old, new) in enumerate(zip(features, content, strict=True)):
            usable = share[index, 0] > 0
            where = foreground[index, 0]
            means, spreads, contents = (kind[index].flatten(1).T for kind in patches)
            if torch.compiler.is_compiling():  # a graph has fixed shapes: all tokens attend, some are taken
                lent = self.lend(new.flatten(1).T, means, spreads, contents, ~usable.flatten())
                old = torch.where(where & usable.any(), lent.T.view_as(old), old)
            elif usable.any() and where.any():
                kept = usable.flatten()
                lent = self.lend(new[:, where].T, means[kept], spreads[kept], contents[kept])
                old = old.masked_scatter(where, lent.T.to(old.dtype))
            translated.append(old)
        return torch.stack(translated)

    @staticmethod
    def lend(
        tokens: Tensor, means: Tensor, spreads: Tensor, contents: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """tokens (T,C) with the look of the patches (P,C) that are like them (Eq. 4 and 5).

        Patches where `hidden` (P) is true lend nothing.
        """
        likeness = tokens @ contents.T
        if hidden is not None:
            likeness = likeness.masked_fill(hidden, torch.finfo(likeness.dtype).min)
        likeness = likeness.softmax(-1)
        return tokens * (likeness @ spreads) + likeness @ means

    def describe(self, features: Tensor, background: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each patch's share of background (B,1,29,29), its mean, deviation (Eq. 3) and content (B,C,29,29).

        features (B,C,h,w), background (B,1,h,w), 1 where a pixel counts and 0 where it does not.
        """
        height, width = features.shape[-2:]
        size = (height // self.share, width // self.share)
        stride = (height // self.stride, width // self.stride)

        def average(x: Tensor) -> Tensor:
            return F.avg_pool2d(x, size, stride)

        def squeeze(x: Tensor) -> Tensor:
            kernel: Tensor = self.squeeze
            if size != kernel.shape[2:]:
                kernel = F.interpolate(kernel, size, mode="bilinear", align_corners=False)
                kernel = kernel * (self.positions**2 / (size[0] * size[1]))
            return F.conv2d(x.flatten(0, 1)[:, None], kernel, stride=stride).view(
                *x.shape[:2], *share.shape[2:]
            )

        share = average(background)
        weight = share.clamp_min(1e-6)
        centre, _ = weighted_moments(features, background)  # sums of squares need numbers near zero
        counted = (features - centre) * background
        mean = average(counted) / weight
        variance = average(counted.square()) / weight - mean.square()
        spread = (variance.clamp_min(0) + 1e-5).sqrt()
        content = (squeeze(counted) - mean * squeeze(background)) / spread
        return share, mean + centre, spread, content
