"""Colour-statistics transfer from another photograph (Reinhard et al. 2001)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from glihamba.networks.moments import weighted_moments

CONTRAST = (0.4, 2.5)  # least and greatest ratio of the two deviations


def transfer_statistics(rgb: Tensor, mask: Tensor, other: Tensor, other_weight: Tensor) -> Tensor:
    """Mean and deviation of the object become those of another photograph's object or whole picture.

    In an opponent space: luma and two differences. rgb, other (B,3,H,W) in [0,1]; mask, other_weight
    (B,1,H,W).
    """
    matrix, inverse = (each.to(rgb) for each in _opponent_space())
    ours, theirs = (torch.einsum("ij,bjhw->bihw", matrix, each) for each in (rgb, other))
    mean, deviation = weighted_moments(ours, mask, least=1e-3)
    goal_mean, goal_deviation = weighted_moments(theirs, other_weight, least=1e-3)
    moved = (ours - mean) * (goal_deviation / deviation).clamp(*CONTRAST) + goal_mean
    return torch.einsum("ij,bjhw->bihw", inverse, moved).clamp(0, 1)


@functools.cache
def _opponent_space() -> tuple[Tensor, Tensor]:
    """Luma and two differences as a (3,3) matrix, and its inverse."""
    matrix = torch.tensor(((0.299, 0.587, 0.114), (0.5, 0.5, -1.0), (1.0, -1.0, 0.0)))
    return matrix, torch.linalg.inv(matrix)
