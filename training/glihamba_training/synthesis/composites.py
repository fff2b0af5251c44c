"""Composites made from photographs while training runs: the photograph is the truth, its object is
recoloured.

Whole batches at once, without a Python loop over pictures. `recolouring.py` says how the colours come about.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from glihamba_training.data.photos import PhotoDataset
from glihamba_training.synthesis import lattice
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.chance import coins, generator
from glihamba_training.synthesis.clean_edges import with_clean_edges
from glihamba_training.synthesis.crops import CropCount, draw_crops, sample
from glihamba_training.synthesis.families import RETOUCHED, Families
from glihamba_training.synthesis.misfit import misfitting
from glihamba_training.synthesis.pasted import with_pasted
from glihamba_training.synthesis.recolouring import regraded, renditions
from glihamba_training.synthesis.settings import SynthesisSettings


class Synthesis:
    """Draws batches from photographs; the same seed and step always give the same batch.

    device: where the colours are computed. lattice: evaluate the recolourings on a lattice of colours, on the
    CPU, instead of on every pixel; six times faster at 256 pixels a side, and nearly the same (see
    `lattice.py`). families: what the settings' `similar` and `lights` need.
    """

    def __init__(
        self,
        photos: PhotoDataset,
        settings: SynthesisSettings,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        lattice: bool = False,
        families: Families | None = None,
    ) -> None:
        self.families, self.crops = families, CropCount()
        self.photos, self.settings, self.seed, self.lattice = photos, settings, seed, lattice
        self.device = torch.device(device)
        self.by_kind = [torch.from_numpy((photos.kind_of == kind).nonzero()[0]) for kind in range(4)]

    def batch(self, step: int, size: int, count: int) -> Batch:
        """`count` pictures of `size` x `size`."""
        g = generator(self.seed, step)
        photos, chosen = self.photos, self._choose(g, count).numpy()
        own = chosen
        if self.settings.pasted:
            photos, chosen = with_pasted(photos, chosen, self.settings.pasted, g)
        if self.lattice:
            batch = lattice.composites(photos, chosen, size, self.settings, g, self.crops)
        else:
            batch = self._composites(photos, chosen, size, g, own)
        if self.settings.clean_edges:
            batch = with_clean_edges(batch, coins(self.settings.clean_edges, count, g, batch.mask))
        if self.settings.misfit:
            batch = batch._replace(mask=misfitting(batch.mask, self.settings.misfit, g))
        return batch

    def _composites(
        self, photos: PhotoDataset, chosen: np.ndarray, size: int, g: torch.Generator, own: np.ndarray
    ) -> Batch:
        """The direct way: every pixel is recoloured. own (B,): the masks of `self.photos` chosen."""
        cover = torch.from_numpy(photos.masks[chosen])[:, None].to(self.device).float() / 255
        pixels = torch.from_numpy(photos.photos[photos.photo_of[chosen]]).to(self.device)
        pixels = pixels.permute(0, 3, 1, 2).float() / 255

        def share_of(crops: Tensor) -> Tensor:
            return sample(cover, crops, size, "zeros").mean((1, 2, 3))

        theta = draw_crops(len(chosen), self.settings, g, share_of, self.crops)
        photo, mask = sample(torch.cat((pixels, cover), 1), theta, size).split((3, 1), 1)
        real, recoloured = self._renditions(photo, mask, own, g)
        composite = mask * (recoloured * 255).round() / 255 + (1 - mask) * real
        return Batch(composite, mask, real)

    def _renditions(
        self, photo: Tensor, mask: Tensor, own: np.ndarray, g: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The scene's colours and the object's, (B,3,H,W) twice, each picture by the family drawn for it."""
        s = self.settings
        photo = regraded(photo, torch.ones_like(mask), s, g)
        if self.families is None:
            return renditions(photo, mask, torch.ones_like(mask), s, g)
        odds = torch.tensor((1 - s.similar - s.lights, s.similar, s.lights)).clamp_min(0)
        family = torch.multinomial(odds, len(photo), replacement=True, generator=g)
        recoloured = self.families.recoloured(family, photo, mask, own, g)
        real, retouched = photo.clone(), (family == RETOUCHED).nonzero()[:, 0]
        if len(retouched):
            here, cover = photo[retouched], mask[retouched]
            real[retouched], recoloured[retouched] = renditions(here, cover, torch.ones_like(cover), s, g)
        return real, torch.where(coins(s.unchanged, len(photo), g, photo), real, recoloured)

    def _choose(self, g: torch.Generator, count: int) -> Tensor:
        """Masks by the odds of their kinds: indices (count,)."""
        odds = torch.tensor(
            [o if len(k) else 0.0 for o, k in zip(self.settings.kinds, self.by_kind, strict=False)]
        )
        kinds = torch.multinomial(odds, count, replacement=True, generator=g).tolist()
        draws = torch.rand(count, generator=g)
        return torch.stack(
            [self.by_kind[k][int(d * len(self.by_kind[k]))] for k, d in zip(kinds, draws, strict=True)]
        )
