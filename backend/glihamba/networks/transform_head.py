"""The head that predicts a colour transform instead of pixels, as PCT-Net does: a switch of GLIHamba."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.base import Answers
from glihamba.networks.colour_statistics import (
    BORDER,
    COLOURS,
    JOINT,
    QUANTILES,
    colour_statistics,
    mean_of,
    quantiles,
)
from glihamba.networks.colour_transform import GRID_SHAPE, TERMS, ColourTransform, recentred
from glihamba.networks.semantic import MEANING, Meaning

_LOCAL = 16  # channels of the convolutions that look at the border pixel by pixel
_HIDDEN = 256  # channels of the layers that look at the whole picture


class Description(NamedTuple):
    """What the answers are guessed from. described: of the picture (B,D). seen: what `Meaning.see` found,
    (B,2,C), or of no channels. mean: the object's colour (B,3). cells: of the object's features and colours
    in each cell of the grid (B,C+3,gh,gw).
    """

    described: Tensor
    seen: Tensor
    mean: Tensor
    cells: Tensor


class TransformHead(nn.Module):
    """Pools features and colours of object, scene, surroundings and border; predicts a `ColourTransform`.

    `base` is a quadratic around the object's mean colour: shift, gain and curvature are then nearly
    independent, where in absolute colours one outweighs the other and learning crawls. `grid` comes from
    the object's features in each cell, so that light which varies over the object is followed. Both start
    at the identity.

    Most of what tells how far an object is off lies at its border, which patches blur: there `local`, two
    small convolutions on every pixel, and the colours of the two rims are averaged.

    answers: how many transforms; all but the first are `OtherAnswers`. quantiles: read those of object, scene
    and rims. semantic: read what object and scene are (`Meaning`).
    """

    def __init__(
        self, channels: int, answers: int = 1, *, quantiles: bool = False, semantic: bool = False
    ) -> None:
        super().__init__()
        described = 5 * channels + COLOURS + BORDER + JOINT + 4 * _LOCAL
        described += QUANTILES * quantiles + MEANING * semantic
        self.described = described
        self.norm = nn.LayerNorm(channels)
        self.colour_norm = nn.LayerNorm(COLOURS)
        self.border_norm = nn.LayerNorm(BORDER)
        self.joint_norm = nn.LayerNorm(JOINT)
        self.local = nn.Sequential(
            nn.Conv2d(4, _LOCAL, 3, padding=1), nn.SiLU(), nn.Conv2d(_LOCAL, _LOCAL, 3, padding=1), nn.SiLU()
        )
        self.local_norm = nn.LayerNorm(4 * _LOCAL)
        self.quantiles = quantiles
        self.meaning = Meaning() if semantic else None
        self.global_mlp = nn.Sequential(
            nn.Linear(described, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
        )
        self.base = nn.Linear(_HIDDEN, 3 * TERMS)
        self.local_mlp = nn.Sequential(nn.Linear(channels + 3 + _HIDDEN, _HIDDEN // 2), nn.SiLU())
        self.grid = nn.Linear(_HIDDEN // 2, 12)
        for layer in (self.base, self.grid):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.others = OtherAnswers(described + _HIDDEN, answers) if answers > 1 else None

    def describe(self, features: Tensor, composite: Tensor, mask: Tensor) -> Description:
        """features (B,h,w,C), composite (B,3,H,W), mask (B,1,H,W) -> all that is read of the pictures."""
        size = (features.shape[1], features.shape[2])
        x = self.norm(features).permute(0, 3, 1, 2)
        inside = F.adaptive_avg_pool2d(mask, size)
        near = F.avg_pool2d(inside, 5, stride=1, padding=2) * (1 - inside)
        # Colours are averaged from full-size pixels: they are what harmony is judged by.
        around = F.interpolate(near, size=mask.shape[-2:], mode="nearest") * (1 - mask)
        pooled = mean_of(x, torch.cat((inside, 1 - inside, near), 1))
        squares = mean_of(x.square(), torch.cat((inside, 1 - inside), 1))
        found = colour_statistics(composite, mask, around)
        pixels = torch.cat((composite, mask), 1) * 2 - 1
        # Channels last: the convolutions then need no copies, forward or backward.
        local = self.local(pixels.contiguous(memory_format=torch.channels_last))
        parts = torch.cat((mask, 1 - mask, found.inner, found.outer), 1)
        described = [
            pooled,
            squares,
            self.colour_norm(found.colours),
            self.border_norm(found.border),
            self.joint_norm(found.joint),
            self.local_norm(mean_of(local, parts)),
        ]
        if self.quantiles:
            described.append(quantiles(composite, parts))
        nothing = composite.new_zeros(len(composite), 2, 0)
        seen = nothing if self.meaning is None else self.meaning.see(composite, mask)
        cell = F.adaptive_avg_pool2d(inside, GRID_SHAPE).clamp_min(1e-2)
        centred = (composite - found.mean[..., None, None]) * mask
        cells = F.adaptive_avg_pool2d(
            torch.cat((x * inside, F.adaptive_avg_pool2d(centred, size)), 1), GRID_SHAPE
        )
        return Description(torch.cat(described, 1), seen, found.mean, cells / cell)

    def answer(self, found: Description) -> Answers:
        """The transforms for what `describe` has read."""
        described, seen, mean, cells = found
        if self.meaning is not None:
            described = torch.cat((described, self.meaning(seen)), 1)
        summary = self.global_mlp(described)
        change = self.base(summary).view(-1, 3, TERMS) @ recentred(mean)
        identity = ColourTransform.identity(len(mean), device=mean.device, dtype=cells.dtype)
        everywhere = summary[..., None, None].expand(-1, -1, *GRID_SHAPE)
        cellwise = self.local_mlp(torch.cat((cells, everywhere), 1).permute(0, 2, 3, 1))
        gain, shift = self.grid(cellwise).permute(0, 3, 1, 2).unflatten(1, (3, 4)).split((3, 1), 2)
        shift = shift - torch.einsum("bijhw,bj->bihw", gain, mean)[:, :, None]
        first = ColourTransform(identity.base + change, torch.cat((gain, shift), 2))
        if self.others is None:
            return Answers([first], torch.zeros_like(mean[:, :1]))
        return self.others(torch.cat((described, summary), 1), first, recentred(mean))


class OtherAnswers(nn.Module):
    """What else the object may have looked like: changes of the first answer's `base`, and everyone's odds.

    The first answer stays the best single guess: nothing is learned through what is read here.
    """

    def __init__(self, described: int, answers: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(described, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU()
        )
        self.change = nn.Linear(_HIDDEN, (answers - 1) * 3 * TERMS)
        self.odds = nn.Linear(_HIDDEN, answers)
        nn.init.normal_(self.change.weight, std=2e-3)  # apart, so that they can grow apart
        for layer in (self.change, self.odds):
            nn.init.zeros_(layer.bias)

    def forward(self, described: Tensor, first: ColourTransform, centre: Tensor) -> Answers:
        """described (B,D), the first answer, `recentred` (B,10,10) at the object's mean -> all answers."""
        summary = self.mlp(described.detach())
        changes = self.change(summary).unflatten(1, (-1, 3, TERMS)) @ centre[:, None]
        base, grid = first.base.detach(), first.grid.detach()
        others = [ColourTransform(base + change, grid) for change in changes.unbind(1)]
        return Answers([first, *others], self.odds(summary))
