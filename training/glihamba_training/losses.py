"""What training minimises. A recipe names one of `LOSSES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.networks.base import Harmonizer
from glihamba.networks.frih import FRIH, Stages
from glihamba_training.synthesis.batch import Batch

_VISIBLE = 6 / 255  # root mean square over the object: the logarithmic losses ask for little more
_ALTERNATIVES, _FLOOR = 0.3, 0.1  # weight of the best answer, and within it of those that are not
_ODDS = 0.1  # weight of saying which answer is the nearest
_FAR = 14 / 255  # root mean square over the object: from there on `refining` gives the network its own answer


class LossSettings(Protocol):
    """What a recipe says of its loss. Both are explained at `foreground_normalised`."""

    @property
    def smallest_area(self) -> float: ...

    @property
    def loss_power(self) -> float: ...


def foreground_normalised(
    harmonized: Tensor, real: Tensor, mask: Tensor, *, smallest_area: float = 100.0, power: float = 1.0
) -> Tensor:
    """Squared error over the picture divided by the foreground's area, mean over the batch.

    The loss of GLIHamba (Sun et al. 2024), GKNet (Shen et al. 2023, Eq. 7), HDNet (Chen et al. 2023, Eq. 1,
    printed without the square that its text gives it) and regional references (Zhu et al. 2022, Eq. 8), but
    for a factor of 3: it is the channels' mean. An area below `smallest_area` (A_min), in pixels of a 256 x
    256 picture, counts as that, so that specks do not dominate. Each picture's error is raised to `power`
    before the mean: at 0.5 a picture four times as wrong counts twice.

    harmonized, real (B,3,H,W) in [0,1]; mask (B,1,H,W) in [0,1]. Returns a scalar.
    """
    return _errors(harmonized, real, mask, smallest_area, power).mean()


def cautious(harmonized: Tensor, batch: Batch, *, smallest_area: float = 100.0, power: float = 1.0) -> Tensor:
    """`foreground_normalised`, plus once more the amount by which a picture is worse than its composite.

    A person who asks for harmony forgives a picture that changes too little sooner than one that is spoiled.
    """
    ours, untouched = (
        _errors(picture, batch.real, batch.mask, smallest_area, power)
        for picture in (harmonized, batch.composite)
    )
    return (ours + (ours - untouched).clamp_min(0)).mean()


def two_stages(
    stages: Stages, real: Tensor, mask: Tensor, *, smallest_area: float = 100.0, power: float = 1.0
) -> Tensor:
    """FRIH's loss (Peng et al. 2024, Eq. 6 to 8): the coarse picture's error and the final one's by submasks.

    Each submask's error is divided by its own area, at least `smallest_area`, so that a picture of many
    clusters weighs more. `power` applies to the coarse part. Shapes as for `foreground_normalised`.
    """
    coarse = foreground_normalised(
        stages.coarse, real, mask, smallest_area=smallest_area, power=power
    )  # Eq. 7
    error = (stages.harmonized - real).square().mean(1)
    smallest = _smallest(smallest_area, real)
    refined = [
        ((parts * picture).sum((1, 2)) / parts.sum((1, 2)).clamp_min(smallest)).sum()  # Eq. 8
        for picture, parts in zip(error, stages.submasks, strict=True)
    ]
    return coarse + torch.stack(refined).mean()  # Eq. 6


def left_of(composite: Tensor, mask: Tensor, harmonized: Tensor) -> Tensor:
    """What the network has left to do: its answer, clipped, where it changed a composite by more than `_FAR`.

    composite, harmonized (B,3,H,W), mask (B,1,H,W). Returns (B,3,H,W): each picture as the one or the other.
    """
    once = harmonized.clamp(0, 1)
    moved = ((once - composite).square().mean(1, keepdim=True) * mask).sum((1, 2, 3), keepdim=True)
    far = moved > _FAR**2 * mask.sum((1, 2, 3), keepdim=True)
    return torch.where(far, once, composite)


def _errors(picture: Tensor, real: Tensor, mask: Tensor, smallest_area: float, power: float) -> Tensor:
    """Each picture's error, (B,)."""
    area = mask.sum((1, 2, 3)).clamp_min(_smallest(smallest_area, real))
    error = (picture - real).square().mean(1).sum((1, 2)) / area
    return error if power == 1 else (error + 1e-6).pow(power)


def _smallest(area: float, picture: Tensor) -> float:
    """An area in pixels of a 256 x 256 picture, in pixels of this one."""
    return area * picture.shape[-2] * picture.shape[-1] / 256**2


def _foreground(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    harmonized = network(batch.composite, batch.mask)
    loss = foreground_normalised(
        harmonized, batch.real, batch.mask, smallest_area=settings.smallest_area, power=settings.loss_power
    )
    return loss, harmonized


def _logarithmic(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """As PSNR counts: halving the error is worth the same wherever it can be seen."""
    harmonized = network(batch.composite, batch.mask)
    return _log_error(harmonized, batch, settings).mean(), harmonized


def _cautious(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    harmonized = network(batch.composite, batch.mask)
    loss = cautious(harmonized, batch, smallest_area=settings.smallest_area, power=settings.loss_power)
    return loss, harmonized


def _refining(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """`_foreground`, with some composites replaced by the network's own answers to them.

    In half of the batch, a composite that the network changes by more than `_FAR` is replaced. So the network
    learns to finish what it has begun, and to leave alone what is right by now.
    """
    half = len(batch.composite) // 2
    composite, mask = batch.composite[:half], batch.mask[:half]
    with torch.no_grad():
        met = left_of(composite, mask, network(composite, mask))
    return _foreground(network, batch._replace(composite=torch.cat((met, batch.composite[half:]))), settings)


def _answers(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """The first answer's error on a logarithmic scale, as PSNR counts it, the best answer's, and the odds.

    The first must be the best single guess: the others reach it only through what they share. Of these the
    best counts, and each a little, so that none is forgotten; at half the side, enough to tell them apart.
    """
    (first, *others), odds = network.answers(batch.composite, batch.mask)
    harmonized = batch.mask * first.apply(batch.composite) + (1 - batch.mask) * batch.composite
    error = _log_error(harmonized, batch, settings)
    loss = error.mean()
    if others:
        small = batch._replace(**{name: F.avg_pool2d(x, 2) for name, x in batch._asdict().items()})
        blended = [small.mask * t.apply(small.composite) + (1 - small.mask) * small.composite for t in others]
        errors = torch.stack([_log_error(picture, small, settings) for picture in blended], 1)
        best = torch.minimum(error.detach(), errors.amin(1))
        loss = loss + _ALTERNATIVES * ((1 - _FLOOR) * best + _FLOOR * errors.mean(1)).mean()
        nearest = torch.cat((error[:, None], errors), 1).detach().argmin(1)
        loss = loss + _ODDS * F.cross_entropy(odds, nearest)
    return loss, harmonized


def _log_error(picture: Tensor, batch: Batch, settings: LossSettings) -> Tensor:
    """Each picture's error on a logarithmic scale, (B,), at least 0 and flat below what can be seen."""
    error = _errors(picture, batch.real, batch.mask, settings.smallest_area, 1.0)
    return torch.log1p(error / _VISIBLE**2)


def _two_stages(network: Harmonizer, batch: Batch, settings: LossSettings) -> tuple[Tensor, Tensor]:
    assert isinstance(network, FRIH), "Recipe refuses this loss for other networks"
    stages = network.stages(batch.composite, batch.mask)
    loss = two_stages(
        stages, batch.real, batch.mask, smallest_area=settings.smallest_area, power=settings.loss_power
    )
    return loss, stages.harmonized


LOSSES: dict[str, Callable[[Harmonizer, Batch, LossSettings], tuple[Tensor, Tensor]]] = {
    "foreground": _foreground,
    "logarithmic": _logarithmic,
    "cautious": _cautious,
    "refining": _refining,
    "answers": _answers,
    "two-stages": _two_stages,
}
"""name -> (network, batch, settings) -> the loss, a scalar, and the harmonized pictures (B,3,H,W)."""
