"""GLIHamba on cells: state-space blocks over a few cells of the picture, beside object's and scene's colours.

What limits a harmonizer is neither the form of its answer nor its resolution but the guess: what is likely,
given this object in this scene. That is learned from very many composites. So this network is small and reads
48 pixels: the whole picture's colour statistics, and 5 x 5 cells, each with the mean and deviation of the
object's part and of the scene's. GLIHamba's VSS blocks let the cells see one another, in four directions.

It has several answers: the first is the best single guess, the others are for who chooses by eye.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.base import Answers, Harmonizer
from glihamba.networks.colour_statistics import BORDER, COLOURS, JOINT, colour_statistics
from glihamba.networks.colour_transform import GRID_SHAPE, TERMS, ColourTransform, recentred
from glihamba.networks.vss import Stage, VSSBlock

_CELL = 2 * 6 + 2  # object's and scene's mean and deviation, and the share of each
_RING = 7  # pixels of 48: the surroundings reach half as far from the object
_NEAR = 0.02  # of the ring's window: as much object makes a pixel of the scene one of the surroundings
_LEAST = 2e-3  # of a cell: smaller parts have no colour


@dataclass(frozen=True)
class CellsConfig:
    """width: of a cell's token. blocks: VSS blocks. state_dimension: N. hidden: of the layers that guess.
    cells: a side. answers: colour transforms that are predicted.
    """

    width: int = 96
    blocks: int = 1
    state_dimension: int = 1
    hidden: int = 384
    cells: int = 5
    answers: int = 3
    working_size: int = 48


@network("glihamba-cells")
class GLIHambaCells(Harmonizer):
    """See the module. Works at any size, best at the one it was trained at."""

    paper = "GLIHamba: Global-Local Context Image Harmonization based on Mamba (Sun, Yao, Ban; 2024)"
    Config = CellsConfig
    losses = ("answers",)

    def __init__(self, config: CellsConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        width, hidden = config.width, config.hidden
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in (COLOURS, BORDER, JOINT))
        self.token = nn.Linear(_CELL, width)
        self.place = nn.Parameter(torch.randn(config.cells, config.cells, width) * 0.02)
        self.blocks = Stage(VSSBlock(width, config.state_dimension) for _ in range(config.blocks))
        sizes = (COLOURS + BORDER + JOINT + 2 * width, hidden, hidden, hidden)
        layers = [(nn.Linear(a, b), nn.SiLU()) for a, b in itertools.pairwise(sizes)]
        self.guess = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.answer = nn.Linear(hidden, config.answers * 3 * TERMS)
        nn.init.normal_(self.answer.weight, std=2e-3)  # apart, so that they can grow apart
        nn.init.zeros_(self.answer.weight[: 3 * TERMS])
        nn.init.zeros_(self.answer.bias)
        self.odds = nn.Linear(hidden, config.answers)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """composite (B,3,H,W), mask (B,1,H,W), both in [0,1] -> harmonized (B,3,H,W) (Eq. 7)."""
        return mask * self.colour_transform(composite, mask).apply(composite) + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The best single guess."""
        return self.answers(composite, mask).transforms[0]

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        """All guesses, the best single one first."""
        mean, described = statistics(composite, mask)
        cells, cover = cell_colours(composite, mask, self.config.cells)
        tokens = self.blocks(self.token(cells) + self.place, cover)
        colours = [norm(part) for norm, part in zip(self.norms, described, strict=True)]
        summary = self.guess(torch.cat((*colours, _mean(tokens, cover), _mean(tokens, 1 - cover)), 1))
        changes = self.answer(summary).unflatten(1, (-1, 3, TERMS)) @ recentred(mean)[:, None]
        same = ColourTransform.identity(len(mean), GRID_SHAPE, device=mean.device, dtype=mean.dtype)
        transforms = [ColourTransform(same.base + change, same.grid) for change in changes.unbind(1)]
        return Answers(transforms, self.odds(summary))


def statistics(composite: Tensor, mask: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The object's mean colour (B,3), and what (B,COLOURS), (B,BORDER) and (B,JOINT) say of the picture."""
    found = colour_statistics(composite, mask, surroundings(mask) * (1 - mask))
    return found.mean, (found.colours, found.border, found.joint)


def surroundings(mask: Tensor) -> Tensor:
    """1 where some of the object is near, else 0: (B,1,H,W) -> the same."""
    soft = F.pad(mask, [_RING // 2] * 4, mode="replicate")
    for window in ((_RING, 1), (1, _RING)):
        soft = F.avg_pool2d(soft, window, 1)
    return (soft > _NEAR).to(mask.dtype)


def cell_colours(composite: Tensor, mask: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """What each cell holds of object and scene, (B,c,c,_CELL), and the object's share of it (B,c,c,1)."""
    squares = composite.square()
    planes = torch.cat((composite * mask, squares * mask, composite, squares), 1)
    pooled, cover = F.adaptive_avg_pool2d(planes, cells), F.adaptive_avg_pool2d(mask, cells)
    found = []
    for sums, share in ((pooled[:, :6], cover), (pooled[:, 6:] - pooled[:, :6], 1 - cover)):
        mean, square = (sums / share.clamp_min(1e-3)).split(3, 1)
        deviation = ((square - mean.square()).clamp_min(0) + 1e-4).sqrt()
        found += [each * (share > _LEAST) for each in (mean, deviation)]
    return torch.cat((*found, cover, 1 - cover), 1).permute(0, 2, 3, 1), cover.permute(0, 2, 3, 1)


def _mean(tokens: Tensor, weight: Tensor) -> Tensor:
    """Tokens (B,h,w,C) averaged by weight (B,h,w,1): (B,C)."""
    return (tokens * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-3)
