"""Families of composites besides retouching: a similar object's colours, and measured light.

In both the photograph stays as it is, and is the truth: so the scenes are those that people photograph, not
renditions of them. A network of 1.2 M parameters that saw retouching alone had 27.1 to 27.8 dB on 36 real
triples however long it was trained; with 60 % of similar objects 28.3 dB after seven minutes of a core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glihamba.errors import BadRequest
from glihamba_training.data.photos import PhotoDataset
from glihamba_training.data.picture_cache import OnProgress
from glihamba_training.data.similar_objects import load_neighbours
from glihamba_training.synthesis.illuminations import Illuminations, read_illuminations
from glihamba_training.synthesis.transfers import TRANSFERS, plausible

CEILING = 9000.0  # of the object's MSE, 0..255: 5 % of the real composites have more than 7,300
_LOWER = 1.5  # stops, at most, below it
LIGHTS = Path("illuminations") / "ccharmony.npz"  # in the photographs' folder or beside it
RETOUCHED, SIMILAR, LIT = range(3)


@dataclass(frozen=True)
class Families:
    """What a bank's families need. neighbours: (M,K), for each mask of the bank those of similar objects."""

    bank: PhotoDataset
    neighbours: np.ndarray | None = None
    lights: Illuminations | None = None

    def recoloured(
        self, drawn: Tensor, photo: Tensor, mask: Tensor, which: np.ndarray, g: torch.Generator
    ) -> Tensor:
        """The object's colours for every pixel of the photographs, as each picture's family says.

        drawn (B,): SIMILAR or LIT; photo (B,3,H,W), mask (B,1,H,W); which (B,): the bank's masks.
        """
        moved = photo.clone()
        like = (drawn == SIMILAR).nonzero()[:, 0]
        if len(like):
            moved[like] = self._like_others(photo[like], mask[like], which[like.numpy()], g)
        lit = (drawn == LIT).nonzero()[:, 0]
        if len(lit):
            assert self.lights is not None
            moved[lit] = self.lights.relit(photo[lit], g)
        # The ceiling itself is drawn, so that nothing piles up at it.
        ceiling = CEILING * torch.exp2(-_LOWER * torch.rand(len(photo), generator=g))
        return plausible(photo, moved, mask, ceiling.to(photo.device))

    def _like_others(self, photo: Tensor, mask: Tensor, which: np.ndarray, g: torch.Generator) -> Tensor:
        """Each object with the colours of one of its neighbours, by one of the four transfers."""
        assert self.neighbours is not None
        count = len(photo)
        place = torch.randint(self.neighbours.shape[1], (count,), generator=g).numpy()
        others = self.neighbours[which, place]
        # Every second pixel: statistics need no more.
        pixels = torch.from_numpy(self.bank.photos[self.bank.photo_of[others], ::2, ::2]).to(photo.device)
        other = pixels.permute(0, 3, 1, 2).float() / 255
        covers = torch.from_numpy(self.bank.masks[others, ::2, ::2]).to(photo.device)
        cover = covers[:, None].float() / 255
        moved = torch.empty_like(photo)
        how = torch.randint(len(TRANSFERS), (count,), generator=g)
        for number, transfer in enumerate(TRANSFERS):
            these = (how == number).nonzero()[:, 0]
            if len(these):
                moved[these] = transfer(photo[these], mask[these], other[these], cover[these]).clamp(0, 1)
        return moved


def load_families(
    root: Path,
    split: str,
    bank: PhotoDataset,
    *,
    similar: bool,
    lights: bool,
    progress: OnProgress = lambda done, total: None,
    cache: Path | None = None,
) -> Families | None:
    """What the wanted families need, or None where none is wanted; raises BadRequest for what is missing."""
    if not (similar or lights):
        return None
    near = load_neighbours(root, split, progress, cache) if similar else None
    return Families(bank, near, find_illuminations(root) if lights else None)


def find_illuminations(root: Path) -> Illuminations:
    """The measured lights in or beside a folder of photographs; raises BadRequest where there are none."""
    for folder in (root, root.parent):
        if (folder / LIGHTS).is_file():
            return read_illuminations(folder / LIGHTS)
    raise BadRequest(
        f"There is no {LIGHTS} in {root} or beside it: put it there, or set the recipe's lights to 0."
    )
