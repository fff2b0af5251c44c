"""What colours alone say of an object, its scene and their border: the input of `TransformHead`."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.networks import colour_statistics_kernel as kernel
from glihamba.ops.cpu.threads import share

_BINS = 9  # of a channel's histogram, with linear flanks: 0, 1/8, ..., 1
_JOINT_BINS = 5  # a channel of the joint histogram's: 0, 1/4, ..., 1
_RIM = 32  # of the picture's side in a rim's width

COLOURS = 3 * 6 + 2 * 6 + 2 * 3 * _BINS + 1  # `describe`: moments, contrasts, histograms, area
BORDER = 2 * 6 + 2 * 6  # `describe_border`: moments, contrasts
JOINT = 2 * _JOINT_BINS**3  # `joint_histograms`
_QUANTILES = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.995)
_SAMPLED = 64  # a side: the pixels that quantiles are taken from
_LUMA = (0.299, 0.587, 0.114)

QUANTILES = 4 * 4 * len(_QUANTILES)  # `quantiles`: of four parts, of red, green, blue and luma
_LEAST = 1e-3  # pixels that a weight counts as, at least
_EPSILON = 1e-4  # added to a variance


class ColourStatistics(NamedTuple):
    """mean: the object's mean colour (B,3). colours (B,COLOURS), border (B,BORDER), joint (B,JOINT): what
    `describe`, `describe_border` and `joint_histograms` return. inner, outer (B,1,H,W): the `rims`.
    """

    mean: Tensor
    colours: Tensor
    border: Tensor
    joint: Tensor
    inner: Tensor
    outer: Tensor


def colour_statistics(composite: Tensor, mask: Tensor, around: Tensor) -> ColourStatistics:
    """All statistics at once, for pictures on the CPU in one compiled pass over their pixels.

    composite (B,3,H,W), mask and around, the surroundings, (B,1,H,W), in [0,1]. Pictures of another type than
    float32, or that need a gradient, go PyTorch's way.
    """
    planes = (composite, mask, around)
    if all(_is_plain(plane) for plane in planes) and not torch.compiler.is_compiling():
        sum_up = kernel.fastest()
        if sum_up is not None:
            return _from_sums(sum_up, *(plane.detach().contiguous() for plane in planes))
    mean, colours = describe(composite, mask, around)
    inner, outer = rims(mask)
    border, joint = describe_border(composite, mask, inner, outer), joint_histograms(composite, mask)
    return ColourStatistics(mean, colours, border, joint, inner, outer)


def _is_plain(plane: Tensor) -> bool:
    differentiable = plane.requires_grad and torch.is_grad_enabled()
    return plane.device.type == "cpu" and plane.dtype == torch.float32 and not differentiable


def _from_sums(sum_up: kernel.Kernel, composite: Tensor, mask: Tensor, around: Tensor) -> ColourStatistics:
    batch, _, _, width = composite.shape
    inner, outer = torch.empty_like(mask), torch.empty_like(mask)
    sums = torch.zeros(batch, kernel.PARTS, kernel.SUMS, dtype=torch.float64)
    single = torch.zeros(batch, 2, _BINS, 3)
    joint = torch.zeros(batch, 2, *[_JOINT_BINS] * 3)
    planes = [plane[:, 0].numpy() for plane in (mask, around, inner, outer)]
    arrays = [composite.numpy(), *planes, sums.numpy(), single.numpy(), joint.numpy()]
    threads = min(batch, torch.get_num_threads())
    share(batch, threads, lambda first, last: sum_up(*arrays, _radius(width), first, last))

    total = sums[..., :1].clamp_min(_LEAST)
    moved, squares = sums[..., 1:4] / total, sums[..., 4:] / total  # of each channel less a half
    weight = sums[..., :1] / total  # 1, or less for almost no pixels
    mean = moved + 0.5 * weight
    # The mean square around `mean`, from sums around a half.
    offset = mean - 0.5
    variance = squares - 2 * offset * moved + offset.square() * weight
    moments = torch.stack((mean, (variance.clamp_min(0) + _EPSILON).sqrt()), 2).float()
    object_, scene, ring, within, beyond = moments.unbind(1)
    counted = total[:, :2].float()
    histograms = (single / counted[..., None]).flatten(1)
    shares = (joint.flatten(2) / counted).flatten(1)
    described = [each.flatten(1) for each in (object_, scene, ring)]
    described += [_contrast(object_, other) for other in (scene, ring)]
    colours = torch.cat((*described, histograms, mask.mean((2, 3))), 1)
    border = _border(object_, within, beyond)
    return ColourStatistics(object_[:, 0], colours, border, shares.clamp_min(0).sqrt(), inner, outer)


def describe(composite: Tensor, mask: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """The object's mean colour (B,3), and moments, contrasts and histograms (B,COLOURS).

    composite (B,3,H,W), mask and around, the surroundings, (B,1,H,W), in [0,1].
    """
    object_, scene, ring = (_moments(composite, weight) for weight in (mask, 1 - mask, around))
    described = [moments.flatten(1) for moments in (object_, scene, ring)]
    described += [_contrast(object_, other) for other in (scene, ring)]
    histograms = mean_of(_bins(composite), torch.cat((mask, 1 - mask), 1))
    return object_[:, 0], torch.cat((*described, histograms, mask.mean((2, 3))), 1)


def rims(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the object's and of the scene's pixels at the border, (B,1,H,W) -> the same twice."""
    radius = _radius(mask.shape[-1])
    soft = mask
    for along in ((1, 0), (0, 1)):  # one side after the other: a large square costs its side, not its area
        width = tuple(1 + 2 * radius * each for each in along)
        padding = tuple(radius * each for each in along)
        soft = F.avg_pool2d(soft, width, 1, padding, count_include_pad=False)
    return (1 - soft) * mask, soft * (1 - mask)


def describe_border(composite: Tensor, mask: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Moments of both rims, and the outer's contrast to the inner and to the object: (B,BORDER)."""
    return _border(*(_moments(composite, weight) for weight in (mask, inner, outer)))


def _radius(width: int) -> int:
    """A rim's width in pixels."""
    return max(1, width // _RIM)


def _border(object_: Tensor, within: Tensor, beyond: Tensor) -> Tensor:
    contrasts = (_contrast(within, beyond), _contrast(object_, beyond))
    return torch.cat((within.flatten(1), beyond.flatten(1), *contrasts), 1)


def joint_histograms(composite: Tensor, mask: Tensor) -> Tensor:
    """Roots of object's and scene's shares near each of 5 x 5 x 5 colours, trilinearly counted: (B,JOINT)."""
    red, green, blue = _flanks(composite.flatten(2), _JOINT_BINS).unbind(2)
    red_green = (red[:, :, None] * green[:, None]).flatten(1, 2)
    weights = torch.cat((mask, 1 - mask), 1).flatten(2)
    weights = weights / weights.sum(2, keepdim=True).clamp_min(_LEAST)
    blues = (weights[:, :, None] * blue[:, None]).flatten(1, 2)
    shares = (red_green @ blues.transpose(1, 2)).unflatten(2, (2, -1)).transpose(1, 2).flatten(1)
    return shares.clamp_min(0).sqrt()  # a resampled mask may exceed 1 by its rounding


def quantiles(composite: Tensor, parts: Tensor) -> Tensor:
    """What shares of each part are darker than: (B,3,H,W), four weights (B,4,H,W) -> (B,QUANTILES).

    Black and white points, which no mean shows: a faded object's darkest pixels are lighter than its scene's.
    Every part has its quantiles of red, green, blue and luma, -2 for black and 2 for white; 0 without pixels.
    """
    size = (_SAMPLED, _SAMPLED)
    few, weights = (F.interpolate(plane, size, mode="nearest").flatten(2) for plane in (composite, parts))
    luma = (few * few.new_tensor(_LUMA).view(1, 3, 1)).sum(1, keepdim=True)
    values, order = torch.cat((few, luma), 1).sort(2)
    values, order = (each[:, None].expand(-1, weights.shape[1], -1, -1) for each in (values, order))
    reached = weights[:, :, None].expand_as(values).gather(3, order).cumsum(3)
    total = reached[..., -1:]
    shares = total * total.new_tensor(_QUANTILES)
    place = (reached[..., None, :] < shares[..., None]).sum(-1).clamp_max(_SAMPLED**2 - 1)
    return ((values.gather(3, place) - 0.5) * 4 * (total > 0.5)).flatten(1)


def mean_of(x: Tensor, weights: Tensor) -> Tensor:
    """Each channel's mean by each weight: (B,C,h,w), (B,K,h,w) -> (B,K C), by the first weight first."""
    weights = weights.flatten(2)
    sums = weights @ x.flatten(2).transpose(1, 2)
    return (sums / weights.sum(2, keepdim=True).clamp_min(_LEAST)).flatten(1)


def _moments(rgb: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean and deviation of each channel: (B,3,H,W), (B,1,H,W) -> (B,2,3)."""
    mean = mean_of(rgb, weight)
    variance = mean_of((rgb - mean[..., None, None]).square(), weight)
    # A resampled mask may exceed 1 by its rounding: the scene's weights are then negative.
    return torch.stack((mean, (variance.clamp_min(0) + _EPSILON).sqrt()), 1)


def _contrast(ours: Tensor, theirs: Tensor) -> Tensor:
    """Difference of means and log ratio of deviations, (B,2,3) twice -> (B,6)."""
    return torch.cat((theirs[:, 0] - ours[:, 0], torch.log(theirs[:, 1] / ours[:, 1])), 1)


def _bins(rgb: Tensor) -> Tensor:
    """How near each channel is to 0, 1/8, ..., 1, linearly: (B,3,H,W) -> (B,27,H,W)."""
    return _flanks(rgb, _BINS).flatten(1, 2)


def _flanks(rgb: Tensor, bins: int) -> Tensor:
    """1 at the bin's own value, 0 from its neighbours' on: (B,3,...) -> (B,bins,3,...)."""
    nodes = torch.arange(bins, device=rgb.device, dtype=rgb.dtype).view(-1, *[1] * (rgb.ndim - 1))
    return (1 - (rgb[:, None] * (bins - 1) - nodes).abs()).clamp_min(0)
