"""How a harmonized picture is scored. Every printed figure carries its protocol's name.

| protocol | resize                  | mask  | error counted       | PSNR range |
|----------|-------------------------|-------|---------------------|------------|
| strict   | 256, bilinear antialias | float | whole image, uint8  | 255        |
| fullres  | none                    | float | mask x error        | 255        |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.functional.regression import mean_squared_error

from glihamba.models.base import Harmonizer
from glihamba.pipeline.harmonize import harmonize
from glihamba_training.iharmony4 import Triple

STRICT_SIZE = 256


@dataclass(frozen=True)
class Scores:
    """Of one picture. mse and fmse on 0..255, fmse over the foreground's area; psnr in dB."""

    psnr: float
    mse: float
    fmse: float


def strict(triple: Triple, network: Harmonizer | None) -> Scores:
    """The whole picture at 256 x 256 through the network itself; None scores the composite."""
    composite, mask, real = (_square(p) for p in (triple.composite, triple.mask, triple.real))
    if network is None:
        return score(composite, real, mask)
    with torch.inference_mode():
        if network.working_size == STRICT_SIZE:
            harmonized = network(composite, mask)
        else:
            small, coverage = (
                torch.nn.functional.interpolate(
                    p, size=[network.working_size] * 2, mode="bilinear", antialias=True, align_corners=False
                )
                for p in (composite, mask)
            )
            painted = network.colour_transform(small, coverage).apply(composite)
            harmonized = mask * painted + (1 - mask) * composite
    return score(harmonized, real, mask)


def fullres(triple: Triple, network: Harmonizer | None) -> Scores:
    """The file at its own size through the pipeline, as a person gets it; None scores the composite."""
    pixels = triple.composite
    if network is not None:
        pixels = harmonize(pixels, triple.mask, network).pixels
    composite, mask, real = (_planes(p) for p in (pixels, triple.mask, triple.real))
    return score(mask * composite + (1 - mask) * real, real, mask)


PROTOCOLS: dict[str, Callable[[Triple, Harmonizer | None], Scores]] = {"strict": strict, "fullres": fullres}


def score(harmonized: Tensor, real: Tensor, mask: Tensor) -> Scores:
    """harmonized, real (1,3,H,W) in [0,1], rounded to 8 bits here; mask (1,1,H,W) in [0,1]."""
    got, wanted = ((p * 255).round().clamp(0, 255) for p in (harmonized, real))
    mse = float(mean_squared_error(got.contiguous(), wanted.contiguous()))
    squared = (got - wanted).square().mean(1, keepdim=True)
    fmse = float((squared * (mask > 0)).sum() / mask.sum().clamp_min(1))
    # A perfect picture would be infinitely good and drown every mean: an error under 1e-3 counts as that.
    psnr = float(peak_signal_noise_ratio(got, wanted, data_range=255.0)) if mse > 1e-3 else 78.0
    return Scores(psnr, mse, fmse)


def _planes(pixels: np.ndarray) -> Tensor:
    floats = torch.from_numpy(pixels.astype(np.float32) / 255)
    return floats[None, None] if pixels.ndim == 2 else floats.permute(2, 0, 1)[None]


def _square(pixels: np.ndarray) -> Tensor:
    size = (STRICT_SIZE, STRICT_SIZE)
    return _planes(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)))
