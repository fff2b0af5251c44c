"""Four ways to give an object the colours of another one, as iHarmony4's HCOCO and HFlickr were made.

There the photograph stays as it is, and its object takes the colours of a similar object in another
photograph: by Reinhard's transfer in RGB or in an opponent space, by the linear map between two Gaussians
(Pitie's), or channel by channel by histograms. The networks never see which.

All take rgb (B,3,H,W), mask (B,1,H,W), other (B,3,h,w) and other_mask (B,1,h,w) in [0,1]; they return
(B,3,H,W), not clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

GAINS = (0.35, 2.8)  # of a channel's deviation; beyond, noise and compression show
_BINS = 48  # of a channel's histogram
_EVEN = 0.02  # share of a histogram that is spread evenly: no bin is empty, no step endless

Transfer: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def reinhard(rgb: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
    """Mean and deviation of each channel (Reinhard et al. 2001, without its colour space)."""
    mean, covariance = _moments(rgb, mask)
    goal, goal_covariance = _moments(other, other_mask)
    variance, goal_variance = (c.diagonal(dim1=1, dim2=2) for c in (covariance, goal_covariance))
    gain = (goal_variance / variance).sqrt().clamp(*GAINS)
    return (rgb - mean[..., None, None]) * gain[..., None, None] + goal[..., None, None]


def reinhard_opponent(rgb: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
    """The same in luma and two differences, which natural colours leave nearly uncorrelated."""
    there = rgb.new_tensor(((0.299, 0.587, 0.114), (0.5, 0.5, -1.0), (1.0, -1.0, 0.0)))
    moved = reinhard(_mixed(there, rgb), mask, _mixed(there, other), other_mask)
    return _mixed(torch.linalg.inv(there), moved)


def gaussian(rgb: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
    """The linear map of least work between two Gaussians (Pitie and Kokaram 2007), its gain bounded."""
    mean, covariance = _moments(rgb, mask)
    goal, goal_covariance = _moments(other, other_mask)
    root, inverse = _roots(covariance)
    matrix = inverse @ _roots(root @ goal_covariance @ root)[0] @ inverse
    largest = torch.linalg.matrix_norm(matrix, 2)[:, None, None]
    matrix = matrix * (GAINS[1] / largest).clamp_max(1)
    return _mixed(matrix, rgb - mean[..., None, None]) + goal[..., None, None]


def histograms(rgb: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
    """Each channel's distribution becomes the other's."""
    ours, theirs = _cumulated(rgb, mask), _cumulated(other, other_mask)
    place = (rgb.clamp(0, 1) * _BINS).flatten(2)
    below = place.floor().long().clamp(0, _BINS - 1)
    rank = torch.gather(ours, 2, below).lerp(torch.gather(ours, 2, below + 1), place - below)
    found = (torch.searchsorted(theirs.contiguous(), rank.contiguous()) - 1).clamp(0, _BINS - 1)
    low, high = torch.gather(theirs, 2, found), torch.gather(theirs, 2, found + 1)
    within = ((rank - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return ((found + within) / _BINS).view_as(rgb)


TRANSFERS: tuple[Transfer, ...] = (reinhard, reinhard_opponent, gaussian, histograms)


def plausible(real: Tensor, moved: Tensor, mask: Tensor, ceiling: Tensor) -> Tensor:
    """`moved` (B,3,H,W), drawn back towards `real` where the object's MSE exceeds `ceiling` (B,), 0..255."""
    area = mask.sum((1, 2, 3)).clamp_min(1e-3)
    mse = ((moved - real).square().mean(1, keepdim=True) * mask).sum((1, 2, 3)) / area * 255**2
    share = (ceiling / mse.clamp_min(1e-3)).sqrt().clamp_max(1)[:, None, None, None]
    return real + share * (moved - real)


def _mixed(matrix: Tensor, rgb: Tensor) -> Tensor:
    """(3,3) or (B,3,3) times the colours (B,3,H,W)."""
    return torch.einsum("...ij,...jhw->...ihw", matrix, rgb)


def _moments(rgb: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The object's mean colour (B,3) and covariance (B,3,3), a little noise added to it."""
    total = mask.sum((2, 3)).clamp_min(1e-3)
    mean = (rgb * mask).sum((2, 3)) / total
    away = rgb - mean[..., None, None]
    covariance = torch.einsum("bihw,bjhw->bij", away * mask, away) / total[..., None]
    return mean, covariance + 1e-4 * torch.eye(3, device=rgb.device)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The root of a positive definite (B,3,3), and the root's inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp_min(1e-6)
    back = vectors.transpose(1, 2)
    return (vectors * values.sqrt()[:, None]) @ back, (vectors * values.rsqrt()[:, None]) @ back


def _cumulated(rgb: Tensor, mask: Tensor) -> Tensor:
    """Each channel's cumulated histogram inside the mask, from 0 to 1: (B,3,bins + 1)."""
    bins = (rgb.clamp(0, 1) * (_BINS - 1e-3)).long().flatten(2)
    counts = rgb.new_zeros(len(rgb), 3, _BINS).scatter_add_(2, bins, mask.expand_as(rgb).flatten(2))
    counts = counts + _EVEN * counts.sum(2, keepdim=True) / _BINS
    shares = counts / counts.sum(2, keepdim=True).clamp_min(1e-6)
    return F.pad(shares.cumsum(2), (1, 0))
