"""Gain and shift: a small network that answers with a colour transform. The sample of docs/add-a-model.md.

It describes object and scene by the mean and standard deviation of their colours (Reinhard et al. 2001). From
these, a multilayer perceptron predicts one gain and one shift for each channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.base import Harmonizer
from glihamba.networks.colour_transform import TERMS, ColourTransform


@dataclass(frozen=True)
class GainShiftConfig:
    """hidden: width of the hidden layer. working_size: side of the square that it reads, in pixels."""

    hidden: int = 32
    working_size: int = 64


@network("gain-shift")
class GainShift(Harmonizer):
    """See the module."""

    paper = "Color Transfer between Images (Reinhard, Ashikhmin, Gooch, Shirley; 2001), learned"
    Config = GainShiftConfig

    def __init__(self, config: GainShiftConfig | None = None) -> None:
        super().__init__()
        self.config = config or GainShiftConfig()
        self.working_size = self.config.working_size
        self.hidden = nn.Sequential(nn.Linear(12, self.config.hidden), nn.SiLU())
        self.answer = nn.Linear(self.config.hidden, 6)
        nn.init.zeros_(self.answer.weight)  # an untrained network changes nothing
        nn.init.zeros_(self.answer.bias)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """(B,3,H,W), (B,1,H,W) in [0,1] -> (B,3,H,W) in [0,1]; unchanged where the mask is 0."""
        predicted = self.colour_transform(composite, mask).apply(composite).clamp(0, 1)
        return mask * predicted + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The transform itself: gain and shift around the object's mean colour, the same everywhere."""
        mean, spread = moments(composite, mask)
        described = torch.cat((mean, spread, *moments(composite, 1 - mask)), 1)
        gain, shift = self.answer(self.hidden(described)).chunk(2, 1)
        # Terms of the polynomial: 1, then r, g, b, then the six products, which stay zero.
        linear = torch.cat(((shift - gain * mean)[..., None], torch.diag_embed(gain)), 2)
        change = torch.cat((linear, linear.new_zeros(*linear.shape[:2], TERMS - linear.shape[2])), 2)
        identity = ColourTransform.identity(len(composite), device=composite.device, dtype=composite.dtype)
        return ColourTransform(identity.base + change, identity.grid)


def moments(picture: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of each channel, (B,3) each; weight is (B,1,H,W)."""
    weight = weight / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)
    mean = (picture * weight).sum((2, 3), keepdim=True)
    variance = ((picture - mean).square() * weight).sum((2, 3))
    return mean.flatten(1), variance.clamp_min(1e-8).sqrt()
