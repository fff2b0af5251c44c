"""LPIPS: how different two pictures look to a network that classifies pictures (Zhang et al. 2018).

torchmetrics computes it; the network, AlexNet, and its weights are torchvision's. Neither comes with this
project.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from glihamba.errors import BadRequest


def lpips() -> Callable[[Tensor, Tensor], float]:
    """The distance of two pictures (1,3,H,W) in [0,1], 64 pixels a side or more: 0 for equal ones.

    Raises BadRequest, with a sentence, where torchvision or AlexNet's weights are not at hand.
    """
    weights = _weights()
    if not weights.is_file():
        raise BadRequest(
            f"LPIPS needs AlexNet's weights: download {_url()} (233 MB) and put it into {weights.parent}."
        )
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    metric = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()

    def distance(got: Tensor, wanted: Tensor) -> float:
        with torch.inference_mode():
            return float(metric(got, wanted))

    return distance


def _weights() -> Path:
    """Where torchvision looks for the weights before it downloads them."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _url().rpartition("/")[2]


def _url() -> str:
    try:
        from torchvision.models import AlexNet_Weights
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError: it was built for another PyTorch
        raise BadRequest(
            f"LPIPS needs a torchvision that fits PyTorch {torch.__version__}: install it from where this"
            " PyTorch came from."
        ) from error
    url: str = AlexNet_Weights.DEFAULT.url
    return url
