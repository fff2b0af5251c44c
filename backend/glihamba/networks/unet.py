"""The ablation of GLIHamba (Sun, Yao, Ban 2024, Table 4): what its blocks bring, in the same U shape.

`unet` has convolutions in every stage, `unet-vss` puts VSS blocks in their place, and GLIHamba itself
replaces the decoder's by MLG-VSS blocks. Stem, merging, expanding, skips and Eq. 7 stay the same, so that
each step of the table changes one thing.

Only MLG-VSS blocks read the mask. Without them nothing would tell the object from its scene, so here the
mask is the encoder's fourth channel.

The paper gives no size for either. `unet` has one block a stage at GLIHamba's widths, 48.10 M parameters;
`unet-vss` has GLIHamba's depths, 60.64 M.
"""

from __future__ import annotations

from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.glihamba import GLIHamba
from glihamba.networks.vss import VSSBlock


class ConvolutionBlock(nn.Module):
    """U-Net's block: twice a 3x3 convolution, batch normalisation and ReLU. It has no states and no scan."""

    def __init__(self, channels: int, state_dimension: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(2) for layer in self._layer(channels)))

    @staticmethod
    def _layer(channels: int) -> tuple[nn.Module, ...]:
        return (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, H, W, C) -> the same. The mask is not read: every block of the U shape is called alike."""
        return self.layers(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@network("unet-vss", mask_in_encoder=True)
class UNetVSS(GLIHamba):
    """GLIHamba without its local and global extractors: VSS blocks in the decoder too."""

    losses = ()

    def decoder_block(self, width: int) -> nn.Module:
        return VSSBlock(width, self.config.state_dimension)


@network("unet", encoder=(1, 1, 1, 1), decoder=(1, 1, 1), state_dimension=0, mask_in_encoder=True)
class UNet(GLIHamba):
    """The baseline: convolutions in every stage."""

    losses = ()
    encoder_block = ConvolutionBlock

    def decoder_block(self, width: int) -> nn.Module:
        return ConvolutionBlock(width)
