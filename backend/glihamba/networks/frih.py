"""FRIH: fine-grained region-aware image harmonization (Peng, Luo, Liu, Zhang 2024).

Two stages. A base U-Net, seven times down, adjusts the whole object. Then the object's pixels are
clustered by colour into submasks, and a light cascaded module refines the adjusted picture for each of
them; it reads the base encoder's features too (Eq. 3 to 5), and its fusion prediction module sees all
its decoder's layers. Each pixel of the result comes from its own submask's refined picture.

Table 6 gives 11.98 M parameters, the text 2.68 M of them to the cascaded and the fusion module; the widths
are not printed. The widths here give 12.06 M and 2.62 M. `density_peaks` says how the clustering takes
bounded time, and where it differs from the paper for that. Submasks are disjoint and multiplied by the
mask, so that they add up to it at soft edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.base import Harmonizer
from glihamba.networks.blocks import down, network_input, padded, up
from glihamba.networks.density_peaks import clusters

_MARGIN = 2  # pixels that two 3x3 convolutions read around a region


@dataclass(frozen=True)
class FRIHConfig:
    """base, cascaded: channels of the encoders' layers, as many in both. fusion: of the fusion prediction.
    cutoff: d_c. submasks: the most there can be. For the ablation: cascade, what the second stage is given:
    the submasks, the whole mask ("global"), or there is none; fused, whether its prediction sees all its
    decoder's layers or the last one alone.
    """

    base: tuple[int, ...] = (32, 64, 128, 256, 256, 256, 128)
    cascaded: tuple[int, ...] = (16, 32, 64, 96, 96, 96, 96)
    fusion: int = 20
    cutoff: float = 0.1
    submasks: int = 10
    cascade: Literal["submasks", "global", "none"] = "submasks"
    fused: bool = True
    working_size: int = 256


class Stages(NamedTuple):
    """coarse: the first stage's picture; harmonized: the second's; both (B,3,H,W), blended with the scene.
    submasks: for each picture (K,H,W), adding up to its mask; K differs from picture to picture.
    """

    coarse: Tensor
    harmonized: Tensor
    submasks: list[Tensor]


@network("frih")
class FRIH(Harmonizer):
    """See the module."""

    paper = "FRIH: Fine-Grained Region-Aware Image Harmonization (Peng, Luo, Liu, Zhang; AAAI 2024)"
    Config = FRIHConfig
    losses = ("two-stages",)

    def __init__(self, config: FRIHConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        if len(config.base) != len(config.cascaded):
            raise ValueError("FRIH's two encoders have the same number of layers.")
        self.base = BaseNetwork(config.base)
        if config.cascade != "none":
            self.cascaded = CascadedModule(config.base, config.cascaded, config.fusion, config.fused)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite (B,3,H,W), mask (B,1,H,W), both in [0,1] -> harmonized (B,3,H,W)."""
        return self.stages(composite, mask).harmonized

    def stages(self, composite: Tensor, mask: Tensor) -> Stages:
        """What both stages paint, and the submasks: Eq. 6 to 8 train on all three."""
        height, width = composite.shape[-2:]
        whole, whole_mask = padded(composite, mask, 1 << len(self.config.base))
        coarse, features = self.base(network_input(whole, whole_mask))
        coarse = whole_mask * coarse + (1 - whole_mask) * whole
        if self.config.cascade == "none":
            plain = coarse[..., :height, :width]
            return Stages(plain, plain, list(mask))
        submasks = [self.submasks_of(*pair) for pair in zip(whole, whole_mask, strict=True)]
        picture = torch.tensor([b for b, parts in enumerate(submasks) for _ in parts], device=mask.device)
        pairs = torch.cat(submasks)[:, None]
        # Outside training the submasks are refined one after the other: ten at once would take a gigabyte.
        chunk = len(pairs) if self.training else 1
        refined = torch.cat(
            [
                self.cascaded(network_input(coarse[b], part), [f[b] for f in features]) * part
                for b, part in zip(picture.split(chunk), pairs.split(chunk), strict=True)
            ]
        )
        painted = torch.zeros_like(whole).index_add(0, picture, refined)
        harmonized = painted + (1 - whole_mask) * whole
        return Stages(
            coarse[..., :height, :width],
            harmonized[..., :height, :width],
            [parts[:, :height, :width] for parts in submasks],
        )

    def submasks_of(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Submask extraction: (3,H,W), (1,H,W) -> (K,H,W), adding up to the mask; K from 1 to 10."""
        inside = mask[0] > 0
        if self.config.cascade == "global" or not inside.any():
            return mask
        labels = clusters(composite[:, inside].T, self.config.cutoff, self.config.submasks)
        member = F.one_hot(labels).T.to(mask.dtype)
        return mask.new_zeros(len(member), *inside.shape).masked_scatter(inside, member) * mask


class BaseNetwork(nn.Module):
    """The first stage: 4x4 convolutions down, 4x4 deconvolutions up, a skip at every size."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = Encoder(widths)
        self.decoder = nn.ModuleList(
            up(width if depth == len(widths) else 2 * width, out)
            for depth, width, out in _upwards(widths, out=widths[0])
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _, _, out in _upwards(widths, out=widths[0]))
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B,4,H,W) -> the picture (B,3,H,W) in [0,1], and the encoder's features E_i, deepest last."""
        features = self.encoder(x)
        x = features[-1]
        for index, (layer, norm) in enumerate(zip(self.decoder, self.norms, strict=True)):
            if index:
                x = torch.cat((x, features[-1 - index]), 1)
            x = norm(layer(F.relu(x)))
        return _picture(self.head(F.relu(x))), features


class CascadedModule(nn.Module):
    """The second stage, for one submask at a time: its own encoder, three sources at every decoder layer."""

    def __init__(
        self, base: tuple[int, ...], widths: tuple[int, ...], fusion: int, fused: bool = True
    ) -> None:
        super().__init__()
        self.fused = fused
        self.encoder = Encoder(widths)
        self.transfer = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(base[depth - 1], width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for depth, width, _ in _upwards(widths, out=widths[0])
        )
        self.fuse = nn.ModuleList(
            nn.Conv2d((2 if depth == len(widths) else 3) * width, width, 1)
            for depth, width, _ in _upwards(widths, out=widths[0])
        )
        self.up = nn.ModuleList(up(width, out) for _, width, out in _upwards(widths, out=widths[0]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(out) for _, _, out in _upwards(widths, out=widths[0]))
        outputs = sum(out for _, _, out in _upwards(widths, out=widths[0])) if fused else widths[0]
        self.predict = nn.Sequential(  # the fusion prediction module
            nn.Conv2d(outputs, fusion, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fusion, fusion, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fusion, 3, 1),
        )

    def forward(self, x: Tensor, features: list[Tensor]) -> Tensor:
        """The coarse picture with a submask (P,4,H,W), E_i of its picture -> the refined one (P,3,H,W).

        Only pixels within the submasks matter: the prediction runs in their bounding box, and zeros
        surround it.
        """
        encoded = self.encoder(x)
        outputs: list[Tensor] = []
        for layer, norm, transfer, fuse in zip(self.up, self.norms, self.transfer, self.fuse, strict=True):
            depth = len(encoded) - len(outputs)
            sources = [*outputs[-1:], transfer(features[depth - 1]), encoded[depth - 1]]  # Eq. 3
            fused = fuse(torch.cat(sources, 1))  # Eq. 4
            outputs.append(F.relu(norm(layer(F.relu(fused)))))  # Eq. 5
        height, width = x.shape[-2:]
        top, bottom, left, right = _box(x[:, 3])
        full = [
            F.interpolate(o, (height, width), mode="bilinear", align_corners=False)[
                ..., top:bottom, left:right
            ]
            for o in (outputs if self.fused else outputs[-1:])
        ]
        refined = _picture(self.predict(torch.cat(full, 1)))
        return F.pad(refined, (left, width - right, top, height - bottom))


class Encoder(nn.ModuleList):
    """4x4 convolutions of stride 2; batch normalisation in all but the first and the deepest."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        inner = range(1, len(widths) - 1)
        super().__init__(
            nn.Sequential(down(a, b), nn.BatchNorm2d(b) if i in inner else nn.Identity())
            for i, (a, b) in enumerate(zip((4, *widths), widths, strict=False))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B,4,H,W) -> each layer's features, deepest last."""
        features: list[Tensor] = []
        for layer in self:
            x = layer(F.leaky_relu(x, 0.2) if features else x)
            features.append(x)
        return features


def _box(submasks: Tensor) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of all (P,H,W) submasks, and what two 3x3 convolutions read around them."""
    covered = (submasks > 0).any(0)
    edges = []
    for side in (covered.any(1), covered.any(0)):
        where = side.nonzero()
        first, last = (int(where[0]), int(where[-1])) if len(where) else (0, 0)
        edges += [max(0, first - _MARGIN), min(len(side), last + 1 + _MARGIN)]
    top, bottom, left, right = edges
    return top, bottom, left, right


def _upwards(widths: tuple[int, ...], out: int) -> list[tuple[int, int, int]]:
    """From the deepest layer up: its depth, its width, and the width of what it is expanded to."""
    return [(d, widths[d - 1], widths[d - 2] if d > 1 else out) for d in range(len(widths), 0, -1)]


def _picture(x: Tensor) -> Tensor:
    return (torch.tanh(x) + 1) / 2
