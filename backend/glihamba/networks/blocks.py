"""What the papers' convolutional networks share: any size of picture, masks at every level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.base import Harmonizer


class Painter(Harmonizer):
    """A harmonizer that paints a picture with strided convolutions.

    `step`: what height and width must be multiples of; others are padded by their edge and cropped back.
    It leaves the deepest level at least two positions a side, which instance normalisation needs.
    """

    step: int

    def paint(self, composite: Tensor, mask: Tensor) -> Tensor:
        """The object's new colours, (B,3,H,W), with H and W multiples of `step`."""
        raise NotImplementedError

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite (B,3,H,W), mask (B,1,H,W), both in [0,1] -> harmonized (B,3,H,W)."""
        height, width = composite.shape[-2:]
        painted = self.paint(*padded(composite, mask, self.step))[..., :height, :width]
        return mask * painted + (1 - mask) * composite


def padded(composite: Tensor, mask: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Both, grown to the right and below to multiples of `step` by repeating the edge."""
    height, width = composite.shape[-2:]
    padding = (0, -width % step, 0, -height % step)
    if not any(padding):
        return composite, mask
    return F.pad(composite, padding, mode="replicate"), F.pad(mask, padding, mode="replicate")


def network_input(composite: Tensor, mask: Tensor) -> Tensor:
    """Colours in [-1,1] with the mask as a fourth channel, (B,4,H,W)."""
    return torch.cat((2 * composite - 1, mask), 1)


def mask_at(mask: Tensor, features: Tensor) -> Tensor:
    """The coverage of each position of a level, (B,1,h,w): the mask averaged over its cell."""
    return F.adaptive_avg_pool2d(mask, (features.shape[-2], features.shape[-1]))


def touched_by(mask: Tensor, features: Tensor) -> Tensor:
    """Where a level's position has anything of the object in its cell, (B,1,h,w) bool.

    What remains is pure background: a reference taken there holds none of the object's own colours.
    """
    return F.adaptive_max_pool2d(mask, features.shape[-2:]) > 0


def down(channels: int, out_channels: int, stride: int = 2) -> nn.Conv2d:
    """A 4x4 convolution that halves the size, or a 3x3 one that keeps it."""
    return nn.Conv2d(channels, out_channels, 4 if stride == 2 else 3, stride, 1, bias=False)


def up(channels: int, out_channels: int, stride: int = 2) -> nn.ConvTranspose2d:
    """`down` mirrored: a 4x4 deconvolution that doubles the size, or a 3x3 one that keeps it."""
    return nn.ConvTranspose2d(channels, out_channels, 4 if stride == 2 else 3, stride, 1, bias=False)
