"""iHarmony4's own composites to train on: decoded once, shuffled anew each epoch, cropped, mirrored."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glihamba_training.data.iharmony4 import Entry, entries, refuse_missing
from glihamba_training.data.picture_cache import GrowingArray, OnProgress, ahead, cached_arrays
from glihamba_training.data.pictures import RESAMPLING, BadPicture, read_mask, read_photo, squashed
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.chance import generator
from glihamba_training.synthesis.crops import CropCount, crop, draw_crops, sample
from glihamba_training.synthesis.settings import SynthesisSettings


@dataclass(frozen=True)
class PairDataset:
    """composites: (N,S,S,3), reals: (R,S,S,3), masks: (M,S,S,1), all uint8 and squashed to the square.
    real_of, mask_of: (N,) the real picture and the mask of each composite.
    """

    composites: np.ndarray
    reals: np.ndarray
    masks: np.ndarray
    real_of: np.ndarray
    mask_of: np.ndarray


def pair_dataset(
    root: Path,
    split: str,
    size: int,
    progress: OnProgress = lambda done, total: None,
    cache: Path | None = None,
) -> PairDataset:
    """The split at `size` pixels a side; decoded on first use. cache: see `picture_cache.cached_arrays`.

    Raises FileNotFoundError for a missing list or picture, and BadPicture for one that can't be used: a
    figure to be compared with a paper's must not come from fewer pictures than it says.
    """
    listed = entries(root, split)
    refuse_missing(root, split, listed)
    folders = {path.parent for entry in listed for path in (entry.composite, entry.mask, entry.real)}
    changed = ";".join(f"{(root / folder).stat().st_mtime_ns}" for folder in sorted(folders))
    identity = f"{RESAMPLING.name}:{size}:{root.resolve()}:{changed}:" + ";".join(
        entry.line for entry in listed
    )
    photo, mask, index = ((size, size, 3), np.uint8), ((size, size, 1), np.uint8), ((), np.int64)
    return PairDataset(
        **cached_arrays(
            f"iharmony4-{split}-{size}",
            identity,
            {"composites": photo, "reals": photo, "masks": mask, "real_of": index, "mask_of": index},
            partial(_decode, root, listed, size, progress),
            cache,
        )
    )


class Pairs:
    """Draws batches of the composites; the same seed and step always give the same batch."""

    def __init__(
        self,
        pairs: PairDataset,
        settings: SynthesisSettings,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        without: Container[int] = (),
    ) -> None:
        """without: composites that are never drawn, by their place in the list."""
        self.pairs, self.settings, self.seed = pairs, settings, seed
        self.drawn = np.array([i for i in range(len(pairs.composites)) if i not in without])
        self.crops = CropCount()
        self.device = torch.device(device)

    def batch(self, step: int, size: int, count: int) -> Batch:
        """The pictures from `step * count` on, of epochs that are each shuffled anew."""
        pairs = self.pairs
        chosen = np.array([self._picture(step * count + index) for index in range(count)])
        mask_of, real_of = pairs.mask_of[chosen], pairs.real_of[chosen]

        def share_of(crops: Tensor) -> Tensor:
            return self._crop(pairs.masks, mask_of, crops, min(size, 64)).mean((1, 2, 3))

        theta = draw_crops(count, self.settings, generator(self.seed, step), share_of, self.crops)
        return Batch(
            self._crop(pairs.composites, chosen, theta, size),
            self._crop(pairs.masks, mask_of, theta, size),
            self._crop(pairs.reals, real_of, theta, size),
        )

    def _picture(self, index: int) -> int:
        epoch, place = divmod(index, len(self.drawn))
        return int(self.drawn[self._order(epoch)[place]])

    def _order(self, epoch: int) -> np.ndarray:
        kept: tuple[int, np.ndarray] | None = getattr(self, "_kept", None)
        if kept is None or kept[0] != epoch:
            g = torch.Generator().manual_seed(self.seed * 1_000_003 - 7919 * (epoch + 2))
            kept = epoch, torch.randperm(len(self.drawn), generator=g).numpy()
            self._kept = kept
        return kept[1]

    def _crop(self, pictures: np.ndarray, which: np.ndarray, theta: Tensor, size: int) -> Tensor:
        if self.device.type == "cpu":
            return crop(pictures, which, theta, size)
        raw = torch.from_numpy(pictures[which]).to(self.device).permute(0, 3, 1, 2).float() / 255
        return sample(raw, theta, size)


def _decode(
    root: Path, listed: list[Entry], size: int, progress: OnProgress, arrays: dict[str, GrowingArray]
) -> None:
    """Every picture once, however many composites share it."""
    threads = os.cpu_count() or 1
    sizes: dict[Path, tuple[int, int]] = {}
    places: dict[str, dict[Path, int]] = {"reals": {}, "masks": {}}
    wrong: list[str] = []

    def photo(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
        image, whole = read_photo(root / path, path.as_posix())
        return squashed(image, size, RESAMPLING), whole

    def triple(entry: Entry) -> Any:
        try:
            composite, whole = photo(entry.composite)
            mask = read_mask(root / entry.mask, entry.mask.as_posix(), whole)
            real = photo(entry.real) if entry.real not in sizes else (None, sizes[entry.real])
            if real[1] != whole:
                raise BadPicture(
                    f"{entry.real.as_posix()} and its composite {entry.line} are of different sizes:"
                    " resize them alike."
                )
            return entry, composite, squashed(mask, size, RESAMPLING)[..., None], real
        except BadPicture as error:
            return str(error)

    for number, read in enumerate(ahead(triple, listed, threads, 4 * threads)):
        progress(number + 1, len(listed))
        if isinstance(read, str):
            wrong.append(read)
            continue
        entry, composite, mask, (real, whole) = read
        arrays["composites"].append(composite)
        for name, path, pixels in (("reals", entry.real, real), ("masks", entry.mask, mask)):
            if path not in places[name]:
                places[name][path] = arrays[name].count
                arrays[name].append(pixels)
            arrays[f"{name[:-1]}_of"].append(places[name][path])
        sizes[entry.real] = whole
    if wrong:
        others = f" {len(wrong) - 1:,} more are wrong: see `glihamba data check`." if len(wrong) > 1 else ""
        raise BadPicture(wrong[0] + others)
