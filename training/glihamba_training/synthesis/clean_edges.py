"""Edges as a cut-out has them: nothing of the object's true colours is left around it.

A photograph's edges are blurred, by its lens and by making it smaller. So a pixel at the border of a mask
shows object and scene at once, and a recolouring inside the mask leaves a seam of the object's true colours
outside. In pictures of 256 pixels a network reads the answer there. In a picture of 4,000 pixels that a
person pastes into, or that a benchmark was made of, there is next to nothing to read. Half of what networks
gained on small composites was this seam (docs/decisions/clean-edges.md).

Here object and scene are told apart: near the border each takes the colours of what is surely its own, and
the two are put together again by a mask of one soft pixel. So composite and truth have the same edges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba_training.synthesis.batch import Batch

_BAND = 128  # of the picture's side: how far from the border a colour is one's own
_SURE = 0.95  # of a mask
_BEYOND = 2  # pixels that colours spread, besides the band
_LEAST = 12.0  # pixels that are surely the object's: a smaller object keeps its edges


def with_clean_edges(batch: Batch, wanted: Tensor | None = None) -> Batch:
    """The batch with the seam taken away, (B,3,H,W) and (B,1,H,W) as before. The mask becomes crisp.

    wanted (B,1,1,1) bool: of these pictures alone. Objects with almost nothing inside keep their edges.
    """
    band = max(1, round(batch.mask.shape[-1] / _BAND))
    ours, scene = ((_shrunk(side, band) > _SURE).float() for side in (batch.mask, 1 - batch.mask))
    pictures = torch.cat((batch.composite * ours, batch.real * ours, batch.real * scene), 1)
    near = _blurred(torch.cat((pictures, ours, scene), 1), band + _BEYOND)
    inside, outside = near[:, 9:10], near[:, 10:]
    crisp = _softened((batch.mask > 0.5).float())
    behind = _filled(batch.real, scene, near[:, 6:9], outside)
    composite, real = (
        crisp * _filled(picture, ours, found, inside) + (1 - crisp) * behind
        for picture, found in ((batch.composite, near[:, :3]), (batch.real, near[:, 3:6]))
    )
    clean = Batch(composite, crisp, real)
    chosen = ours.sum((1, 2, 3), keepdim=True) > _LEAST
    if wanted is not None:
        chosen = chosen & wanted
    return Batch(*(torch.where(chosen, new, old) for new, old in zip(clean, batch, strict=True)))


def _shrunk(mask: Tensor, pixels: int) -> Tensor:
    across = F.max_pool2d(-mask, (1, 2 * pixels + 1), 1, (0, pixels))
    return -F.max_pool2d(across, (2 * pixels + 1, 1), 1, (pixels, 0))


def _blurred(planes: Tensor, pixels: int) -> Tensor:
    across = F.avg_pool2d(planes, (1, 2 * pixels + 1), 1, (0, pixels))
    return F.avg_pool2d(across, (2 * pixels + 1, 1), 1, (pixels, 0))


def _softened(mask: Tensor) -> Tensor:
    """The mask with edges as antialiasing makes them."""
    return 0.5 * mask + 0.5 * F.avg_pool2d(mask, 3, 1, 1, count_include_pad=False)


def _filled(picture: Tensor, known: Tensor, near: Tensor, share: Tensor) -> Tensor:
    """The picture where it is known, elsewhere the mean of what is known nearby, if anything is."""
    mean = near / share.clamp_min(1e-4)
    return known * picture + (1 - known) * torch.where(share > 1e-3, mean, picture)
