"""Mean and standard deviation of a region that a weight marks."""

from __future__ import annotations

from torch import Tensor


def weighted_moments(
    values: Tensor, weight: Tensor, *, least: float = 1e-5, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of each channel, both (B,C,1,1).

    values: (B,C,H,W); weight: (B,1,H,W), at least 0. least: the smallest sum of weights that is divided by,
    so that an empty weight gives mean 0. eps: added to the variance, so that its root has a gradient.
    """
    total = weight.sum((2, 3), keepdim=True).clamp_min(least)
    mean = (values * weight).sum((2, 3), keepdim=True) / total
    variance = ((values - mean).square() * weight).sum((2, 3), keepdim=True) / total
    return mean, (variance + eps).sqrt()
