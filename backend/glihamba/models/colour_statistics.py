"""What colours alone say of an object, its scene and their border: the input of `TransformHead`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BINS = 9  # of a channel's histogram, with linear flanks: 0, 1/8, ..., 1
_JOINT_BINS = 5  # a channel of the joint histogram's: 0, 1/4, ..., 1
_RIM = 32  # of the picture's side in a rim's width

COLOURS = 3 * 6 + 2 * 6 + 2 * 3 * _BINS + 1  # `describe`: moments, contrasts, histograms, area
BORDER = 2 * 6 + 2 * 6  # `describe_border`: moments, contrasts
JOINT = 2 * _JOINT_BINS**3  # `joint_histograms`


def describe(composite: Tensor, mask: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """The object's mean colour (B,3), and moments, contrasts and histograms (B,COLOURS).

    composite (B,3,H,W), mask and around, the surroundings, (B,1,H,W), in [0,1].
    """
    object_, scene, ring = (_moments(composite, weight) for weight in (mask, 1 - mask, around))
    described = [moments.flatten(1) for moments in (object_, scene, ring)]
    described += [_contrast(object_, other) for other in (scene, ring)]
    described += [_histogram(composite, weight) for weight in (mask, 1 - mask)]
    return object_[:, 0], torch.cat((*described, mask.mean((2, 3))), 1)


def rims(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the object's and of the scene's pixels at the border, (B,1,H,W) -> the same twice."""
    radius = max(1, mask.shape[-1] // _RIM)
    soft = F.avg_pool2d(mask, 2 * radius + 1, 1, radius, count_include_pad=False)
    return (1 - soft) * mask, soft * (1 - mask)


def describe_border(composite: Tensor, mask: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Moments of both rims, and the outer's contrast to the inner and to the object: (B,BORDER)."""
    object_, within, beyond = (_moments(composite, weight) for weight in (mask, inner, outer))
    contrasts = (_contrast(within, beyond), _contrast(object_, beyond))
    return torch.cat((within.flatten(1), beyond.flatten(1), *contrasts), 1)


def joint_histograms(composite: Tensor, mask: Tensor) -> Tensor:
    """Roots of object's and scene's shares near each of 5 x 5 x 5 colours, trilinearly counted: (B,JOINT)."""
    nodes = torch.arange(_JOINT_BINS, device=composite.device, dtype=composite.dtype)
    near = (composite.flatten(2)[:, :, None] * (_JOINT_BINS - 1) - nodes[:, None]).abs()
    red, green, blue = (1 - near).clamp_min(0).unbind(1)
    red_green = (red[:, :, None] * green[:, None]).flatten(1, 2)
    shares = []
    for weight in (mask.flatten(2), 1 - mask.flatten(2)):
        share = weight / weight.sum(2, keepdim=True).clamp_min(1e-3)
        shares.append(torch.bmm(red_green * share, blue.transpose(1, 2)).flatten(1))
    return torch.cat(shares, 1).clamp_min(0).sqrt()  # a resampled mask may exceed 1 by its rounding


def mean_of(x: Tensor, weight: Tensor) -> Tensor:
    """(B,C,h,w), (B,1,h,w) -> (B,C)."""
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)


def _moments(rgb: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean and deviation of each channel: (B,3,H,W), (B,1,H,W) -> (B,2,3)."""
    mean = mean_of(rgb, weight)
    variance = mean_of((rgb - mean[..., None, None]).square(), weight)
    return torch.stack((mean, (variance + 1e-4).sqrt()), 1)


def _contrast(ours: Tensor, theirs: Tensor) -> Tensor:
    """Difference of means and log ratio of deviations, (B,2,3) twice -> (B,6)."""
    return torch.cat((theirs[:, 0] - ours[:, 0], torch.log(theirs[:, 1] / ours[:, 1])), 1)


def _histogram(rgb: Tensor, weight: Tensor) -> Tensor:
    """Each channel's share of pixels near 0, 1/8, ..., 1, counted with linear flanks: -> (B,27)."""
    steps = _BINS - 1
    return torch.cat([mean_of((1 - (rgb * steps - k).abs()).clamp_min(0), weight) for k in range(_BINS)], 1)
