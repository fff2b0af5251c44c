"""GLIHamba: global-local context image harmonization based on Mamba (Sun, Yao, Ban 2024).

A U shape of state-space blocks. Encoder: 3x3 convolution with ReLU, patches, then stages of VSS blocks
with patch merging between. Decoder: patch expanding, the skip concatenated and mapped back, MLG-VSS
blocks that read the mask. Eq. 7 blends the answer with the composite.

Three switches beyond the paper, all off in `glihamba`: the mask given to the encoder too; a residual
instead of a picture; and a colour transform instead of pixels, which holds at every resolution. One that is
on in `glihamba` alone: the global tokens are scanned once. docs/networks.md lists where we differ.

At the paper's size (Table 3: 64.20 M parameters, 14.86 G FLOPs at 256 x 256) it has 64.34 M parameters and
14.94 G multiply-adds in its linear and convolution layers. The projections of the step size and the reading
of the states, which are products of activations, add 1.17 G. The match proves little: counted alike, RainNet
and HDNet come out at 1.8 and 0.6 times the figures that the same table prints for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.base import Answers, Harmonizer
from glihamba.networks.blocks import padded
from glihamba.networks.colour_transform import ColourTransform
from glihamba.networks.transform_head import Description, TransformHead
from glihamba.networks.vss import MLGVSSBlock, PatchExpanding, PatchMerging, Stage, VSSBlock, patches


@dataclass(frozen=True)
class GLIHambaConfig:
    """width: channels of the first stage, doubled by each merging. encoder, decoder: blocks a stage, the
    decoder's from the deepest up, one stage fewer. state_dimension: N. patch: side of a token in pixels.
    output: "image" (the paper: O' of Eq. 7), "residual" (added to the composite) or "transform".
    answers: colour transforms that are predicted; more than one with "transform" alone. globals_once: the
    decoder's global tokens are scanned once, as the paper has it, instead of in each direction.
    quantiles, semantic: what the head of "transform" reads of a picture besides; see `TransformHead`.
    The defaults are the paper's size.
    """

    width: int = 144
    encoder: tuple[int, ...] = (2, 2, 2, 4)
    decoder: tuple[int, ...] = (2, 1, 1)
    state_dimension: int = 16
    patch: int = 4
    mask_in_encoder: bool = False
    output: Literal["image", "residual", "transform"] = "image"
    answers: int = 1
    globals_once: bool = False
    quantiles: bool = False
    semantic: bool = False
    working_size: int = 256


SIZES: dict[str, dict[str, Any]] = {
    "glihamba-small": {
        "width": 64,
        "encoder": (2, 2, 4),
        "decoder": (2, 1),
        "state_dimension": 2,
        "mask_in_encoder": True,
        "output": "transform",
        "working_size": 128,
    },
    "glihamba-tiny": {
        "width": 32,
        "encoder": (1, 2, 2),
        "decoder": (1, 1),
        "state_dimension": 1,
        "mask_in_encoder": True,
        "output": "transform",
    },
}


@network("glihamba", sizes=SIZES, globals_once=True)
class GLIHamba(Harmonizer):
    """See the module. Any input size: sides that the stages do not divide are padded and cropped back."""

    paper = "GLIHamba: Global-Local Context Image Harmonization based on Mamba (Sun, Yao, Ban; 2024)"
    Config = GLIHambaConfig
    losses: ClassVar[tuple[str, ...]] = ("answers",)
    encoder_block: ClassVar[type[nn.Module]] = VSSBlock
    before: ClassVar[Mapping[str, Any]] = {"globals_once": False}

    def __init__(self, config: GLIHambaConfig) -> None:
        super().__init__()
        if len(config.decoder) != len(config.encoder) - 1:
            raise ValueError("GLIHamba's decoder has one stage fewer than its encoder.")
        if config.answers > 1 and config.output != "transform":
            raise ValueError('GLIHamba has several answers only if its output is "transform".')
        self.config, self.working_size = config, config.working_size
        states, widths = config.state_dimension, [config.width << i for i in range(len(config.encoder))]
        self.stem = nn.Conv2d(3 + config.mask_in_encoder, config.width, 3, padding=1)
        self.embed = nn.Linear(config.patch**2 * config.width, config.width)
        self.embed_norm = nn.LayerNorm(config.width)
        self.encoder = nn.ModuleList(
            Stage(self.encoder_block(width, states) for _ in range(depth))
            for width, depth in zip(widths, config.encoder, strict=True)
        )
        self.merge = nn.ModuleList(PatchMerging(width) for width in widths[:-1])
        upwards = widths[-2::-1]
        self.expand = nn.ModuleList(PatchExpanding(2 * width, 2, width) for width in upwards)
        self.join = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for width in upwards)
        self.decoder = nn.ModuleList(
            Stage(self.decoder_block(width) for _ in range(depth))
            for width, depth in zip(upwards, config.decoder, strict=True)
        )
        if config.output == "transform":
            more = {"quantiles": config.quantiles, "semantic": config.semantic}
            self.head: nn.Module = TransformHead(config.width, config.answers, **more)
        else:
            self.head = nn.Sequential(
                PatchExpanding(config.width, config.patch, config.width), nn.Linear(config.width, 3)
            )

    def decoder_block(self, width: int) -> nn.Module:
        """A block of the decoder's stages."""
        return MLGVSSBlock(width, self.config.state_dimension, globals_once=self.config.globals_once)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite (B,3,H,W), mask (B,1,H,W), both in [0,1] -> harmonized (B,3,H,W) (Eq. 7)."""
        if self.config.output == "transform":
            prediction = self.colour_transform(composite, mask).apply(composite)
        else:
            height, width = composite.shape[-2:]
            painted = self.head(self._features(*self._padded(composite, mask))).permute(0, 3, 1, 2)
            prediction = painted[..., :height, :width]
            if self.config.output == "residual":
                prediction = prediction + composite
        return mask * prediction + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The predicted transform; for the picture-painting outputs, the one nearest to the picture."""
        if self.config.output != "transform":
            return super().colour_transform(composite, mask)
        return self.answers(composite, mask).transforms[0]

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        """All guesses, the best single one first."""
        if self.config.output != "transform":
            return super().answers(composite, mask)
        assert isinstance(self.head, TransformHead)
        return self.head.answer(self.read(composite, mask))

    def read(self, composite: Tensor, mask: Tensor) -> Description:
        """What the head of `transform` guesses from."""
        features = self._features(*self._padded(composite, mask))
        rows, columns = (-(-side // self.config.patch) for side in composite.shape[-2:])
        assert isinstance(self.head, TransformHead)
        return self.head.describe(features[:, :rows, :columns], composite, mask)

    def _features(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Decoder output, (B, H/patch, W/patch, width); H and W divisible by every stage."""
        pixels = torch.cat((composite, mask), 1) if self.config.mask_in_encoder else composite
        # Channels last from here on: the convolution then leaves them so, and nothing below is a copy.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        x = F.relu(self.stem(pixels)).permute(0, 2, 3, 1)
        x = self.embed_norm(self.embed(patches(x, self.config.patch)))
        masks = _pyramid(mask, self.config.patch, len(self.encoder))
        skips: list[Tensor] = []
        for stage, blocks in enumerate(self.encoder):
            x = blocks(x, masks[stage])
            if stage < len(self.merge):
                skips.append(x)
                x = self.merge[stage](x)
        for stage, blocks in enumerate(self.decoder):
            x = self.join[stage](torch.cat((self.expand[stage](x), skips.pop()), -1))
            x = blocks(x, masks[len(skips)])
        return x

    def _padded(self, composite: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return padded(composite, mask, self.config.patch << (len(self.encoder) - 1))


def _pyramid(mask: Tensor, patch: int, stages: int) -> list[Tensor]:
    """The mask averaged to each stage's tokens, (B, H/s, W/s, 1)."""
    return [F.avg_pool2d(mask, patch << stage).permute(0, 2, 3, 1) for stage in range(stages)]
