"""For every mask of a bank, the objects of other photographs that are most like its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.networks.semantic import STRIDE
from glihamba_training.data.encoder import load_encoder
from glihamba_training.data.photos import WHOLE, PhotoDataset, photo_dataset
from glihamba_training.data.picture_cache import GrowingArray, OnProgress, cached_arrays

NEIGHBOURS = 24
SIDE = 128  # pixels: the features are 8 x 8 then
_BATCH = 32

Encoder = Callable[[Tensor], Tensor]
"""(B,3,SIDE,SIDE) in [0,1] -> (B,C,SIDE/16,SIDE/16)."""


def load_neighbours(
    root: Path, split: str, progress: OnProgress = lambda done, total: None, cache: Path | None = None
) -> np.ndarray:
    """`neighbours` of the bank that `photo_dataset(root, split, ...)` gives at any size; built on first use.

    Raises BadRequest without the encoder's package.
    """
    bank = photo_dataset(root, split, SIDE, cache=cache)

    def build(arrays: dict[str, GrowingArray]) -> None:
        for row in neighbours(bank, features(bank, load_encoder(), progress)):
            arrays["near"].append(row)

    shapes: dict[str, tuple[tuple[int, ...], type]] = {"near": ((NEIGHBOURS,), np.int32)}
    identity = str(getattr(bank.photos, "filename", ""))  # its file's name has all that it depends on
    return cached_arrays(f"{split}-similar", identity, shapes, build, cache)["near"]


def features(
    bank: PhotoDataset, encoder: Encoder, progress: OnProgress = lambda done, total: None
) -> np.ndarray:
    """The encoder's features of each mask's photograph, averaged inside the mask: (M,C) float32."""
    order = np.argsort(bank.photo_of, kind="stable")
    first = np.searchsorted(bank.photo_of[order], np.arange(len(bank.photos) + 1))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(bank.photos), _BATCH):
            end = min(start + _BATCH, len(bank.photos))
            photos = torch.from_numpy(bank.photos[start:end].copy()).permute(0, 3, 1, 2).float() / 255
            seen = encoder(photos)
            of_these = order[first[start] : first[end]]
            masks = torch.from_numpy(bank.masks[of_these])[:, None].float() / 255
            cover = F.adaptive_avg_pool2d(masks, SIDE // STRIDE)
            seen = seen[torch.from_numpy(bank.photo_of[of_these].astype(np.int64) - start)]
            rows.append((seen * cover).sum((2, 3)) / cover.sum((2, 3)).clamp_min(1e-3))
            progress(end, len(bank.photos))
    found = np.empty((len(order), rows[0].shape[1]), np.float32)
    found[order] = torch.cat(rows).numpy()
    return found


def neighbours(bank: PhotoDataset, found: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """The `count` whole objects of other photographs nearest to each mask's: (M,count) masks of the bank.

    By the cosine between features (M,C), standardised over the whole objects. Where there are fewer, the
    nearest come again.
    """
    whole = np.isin(bank.kind_of, WHOLE).nonzero()[0]
    centre, spread = found[whole].mean(0), found[whole].std(0) + 1e-3
    unit = F.normalize(torch.from_numpy((found - centre) / spread), dim=1)
    near = np.empty((len(found), count), np.int32)
    for start in range(0, len(found), 512):
        these = slice(start, start + 512)
        alike = unit[these] @ unit[whole].T
        own = bank.photo_of[these, None] == bank.photo_of[None, whole]
        alike[torch.from_numpy(own)] = -2
        best = alike.topk(min(count, len(whole)), dim=1)
        others = (best.values > -2).sum(1, keepdim=True).clamp_min(1)
        places = torch.arange(count)[None] % others
        near[these] = whole[best.indices.gather(1, places).numpy()]
    return near
