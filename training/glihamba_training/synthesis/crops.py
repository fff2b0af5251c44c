"""Random crops with flips that keep the object in the picture."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba_training.synthesis import kernels
from glihamba_training.synthesis.settings import SynthesisSettings

_RATIOS = (math.log(3 / 4), math.log(4 / 3))  # of a crop's sides, with `crop_area`
_TRIES = 10


class CropCount:
    """How many crops were drawn, and how many of them were widened to the whole picture."""

    def __init__(self) -> None:
        self.drawn = 0
        self._widened: Tensor | int = 0  # a tensor stays on its device, so that nobody waits for it
        self._lock = threading.Lock()  # batches are made in several threads

    def add(self, kept: Tensor) -> None:
        """kept: (B,) bool, False for a crop that was widened."""
        with self._lock:
            self.drawn += len(kept)
            self._widened = self._widened + (~kept).sum()

    @property
    def widened(self) -> int:
        """Crops that did not hold as much of the object as `SynthesisSettings.area` asks."""
        return int(self._widened)


def draw_crops(
    count: int,
    s: SynthesisSettings,
    g: torch.Generator,
    share_of: Callable[[Tensor], Tensor],
    counted: CropCount,
) -> Tensor:
    """Crops (count,2,3), as `F.affine_grid` takes them without corners aligned, on the device of the shares.

    share_of: (count,2,3) -> the share of each crop that is foreground, (count,). Where that is not as
    `s.area` allows, the whole picture is taken, mirrored or not as the crop was, and `counted` counts it.
    """
    theta = random_crops(count, s, g)
    share = share_of(theta)
    theta = theta.to(share.device)
    fitting = (share > s.area[0]) & (share < s.area[1])
    if s.crops:
        counted.add(fitting)
    keep = fitting.float()[:, None, None]
    whole = torch.zeros_like(theta)
    whole[:, 0, 0], whole[:, 1, 1] = theta[:, 0, 0].sign(), 1.0
    return theta * keep + whole * (1 - keep)


def random_crops(count: int, s: SynthesisSettings, g: torch.Generator) -> Tensor:
    """Crops of random size, place and direction, whatever they hold: (count,2,3)."""
    if s.crop_area:
        scale = _sides_by_area(count, s.crop_area, g)
    else:
        scale = s.smallest_crop + (1 - s.smallest_crop) * torch.rand(count, 2, generator=g)
    shift = (1 - scale) * (2 * torch.rand(count, 2, generator=g) - 1)
    flip = torch.where(torch.rand(count, generator=g) < s.flip, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0] * flip, scale[:, 1], shift
    return theta


def _sides_by_area(count: int, area: Sequence[float], g: torch.Generator) -> Tensor:
    """Width and height of each crop as shares of the picture's, (count,2): the first try that fits."""
    least, most = area
    areas = least + (most - least) * torch.rand(count, _TRIES, generator=g)
    ratios = (_RATIOS[0] + (_RATIOS[1] - _RATIOS[0]) * torch.rand(count, _TRIES, generator=g)).exp()
    sides = torch.stack(((areas * ratios).sqrt(), (areas / ratios).sqrt()), -1)
    fits = (sides <= 1).all(-1)
    first = fits.int().argmax(1)
    chosen = sides[torch.arange(count), first]
    return torch.where(fits.any(1, keepdim=True), chosen, torch.ones(()))


def sample(planes: Tensor, theta: Tensor, size: int, outside: str = "border") -> Tensor:
    """Crops of planes (B,C,S,S), bilinear, on their device: (B,C,size,size).

    outside: what lies beyond the planes, "border" (their last pixels) or "zeros".
    """
    grid = F.affine_grid(theta.to(planes.device), [len(planes), 1, size, size], align_corners=False)
    return F.grid_sample(planes, grid, padding_mode=outside, align_corners=False)


def crop(pictures: np.ndarray, which: np.ndarray, theta: Tensor, size: int) -> Tensor:
    """Crops of the pictures `which` (B,) of (N,S,S,C) uint8, bilinear: (B,C,size,size) in [0,1], on the CPU.

    It reads only the pixels it needs, so it is faster than `sample` of whole pictures. No rotations.
    """
    out = torch.empty(len(which), pictures.shape[-1], size, size)
    kernels.run(kernels.crop, pictures, which, theta.numpy(), out.numpy())
    return out
