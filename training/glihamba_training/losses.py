"""What training minimises."""

from __future__ import annotations

from torch import Tensor


def foreground_normalised(
    harmonized: Tensor, real: Tensor, mask: Tensor, *, smallest_area: float = 100.0, power: float = 1.0
) -> Tensor:
    """Squared error over the picture divided by the foreground's area, mean over the batch.

    GLIHamba's and GKNet's loss (paper 001, Eq. 7): no area counts as less than `smallest_area` pixels of
    a 256 x 256 picture, so that specks do not dominate. With `power` below 1 each picture's error is
    raised to it before the mean: at 0.5 a picture four times as wrong counts twice.

    harmonized, real (B,3,H,W) in [0,1]; mask (B,1,H,W) in [0,1]. Returns a scalar.
    """
    smallest = smallest_area * real.shape[-2] * real.shape[-1] / 256**2
    area = mask.sum((1, 2, 3)).clamp_min(smallest)
    error = (harmonized - real).square().mean(1).sum((1, 2)) / area
    return error.mean() if power == 1 else (error + 1e-6).pow(power).mean()
