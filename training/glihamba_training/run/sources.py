"""Where training batches come from: iHarmony4's own composites, or photographs recoloured on the fly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from glihamba_training.data import iharmony4
from glihamba_training.data.fingerprints import Seen, hashes_of, real_name
from glihamba_training.data.photos import licences, photo_dataset
from glihamba_training.data.picture_cache import OnProgress, ahead
from glihamba_training.run.recipe import Recipe
from glihamba_training.run.validation import has_val_list, is_held_out
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.crops import CropCount
from glihamba_training.synthesis.families import load_families
from glihamba_training.synthesis.pairs import Pairs, pair_dataset

CACHED_PER_TRAINING_SIZE = 1.5  # crops down to two thirds of a side are still sampled without enlarging
DIRECT_UP_TO = 64  # pixels a side: up to there the recolourings are as fast on every pixel as on a lattice


class BatchSource(Protocol):
    """Batches by their number: the same number gives the same batch, whoever asks and when."""

    @property
    def crops(self) -> CropCount:
        """What became of the crops so far."""
        ...

    def batch(self, step: int, size: int, count: int) -> Batch: ...


def open_source(
    data: Path,
    recipe: Recipe,
    *,
    device: str | torch.device = "cpu",
    progress: OnProgress = lambda done, total: None,
    cache: Path | None = None,
) -> tuple[BatchSource, dict[str, Any]]:
    """What a recipe trains on, and a description of it for the run's records.

    data: a copy of iHarmony4, or photographs as `data/photos.py` describes them; decoded on first use.
    cache: see `picture_cache.cached_arrays`. Raises FileNotFoundError or BadPicture, with a sentence.
    """
    if not data.is_dir():
        raise FileNotFoundError(
            f"{data} is not a folder: give a copy of iHarmony4 or a folder of photographs."
        )
    device = torch.device(device)
    side = round(recipe.size * CACHED_PER_TRAINING_SIZE) if recipe.synthesis.crops else recipe.size
    if iharmony4.is_copy(data):
        pairs = pair_dataset(data, "train", side, progress, cache)
        left_out: set[int] = set()
        if recipe.validate_every and not has_val_list(data):
            listed = iharmony4.entries(data, "train")
            left_out = {place for place, entry in enumerate(listed) if is_held_out(entry)}
        described = {
            "kind": "iHarmony4",
            "set": iharmony4.kind_of(data),
            "photographs": len(pairs.reals),
            "composites": len(pairs.composites) - len(left_out),
            "licences": {},
        }
        return Pairs(pairs, recipe.synthesis, recipe.seed, device=device, without=left_out), described
    photos = photo_dataset(data, "train", side, progress, cache)
    wanted = {"similar": recipe.synthesis.similar > 0, "lights": recipe.synthesis.lights > 0}
    families = load_families(data, "train", photos, **wanted, progress=progress, cache=cache)
    lattice = device.type == "cpu" and recipe.size > DIRECT_UP_TO and families is None
    described = {
        "kind": "photographs",
        "photographs": len(photos.photos),
        "masks": len(photos.masks),
        "licences": licences(data, "train"),
    }
    synthesis = Synthesis(
        photos, recipe.synthesis, recipe.seed, device=device, lattice=lattice, families=families
    )
    return synthesis, described


def seen_by(source: BatchSource, data: Path, *, cache: Path | None = None) -> Seen:
    """The real pictures that a source draws from. data, cache: as `open_source` got them."""
    if isinstance(source, Pairs):
        listed = iharmony4.entries(data, "train")
        names = frozenset(real_name(listed[i].subset, listed[i].name) for i in source.drawn)
        reals = sorted(set(source.pairs.real_of[source.drawn].tolist()))
        return Seen(names, hashes_of(source.pairs.reals, cache)[reals])
    assert isinstance(source, Synthesis)
    return Seen(hashes=hashes_of(source.photos.photos, cache))


class Loader:
    """Endless batches from `first_step` on, for process `rank` of `world` that share each step's pictures.

    threads: how many make batches ahead; 0 makes them on demand. The batches are the same.
    """

    def __init__(
        self,
        source: BatchSource,
        recipe: Recipe,
        *,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
        threads: int = 0,
    ) -> None:
        self.source, self.size, self.count = source, recipe.size, recipe.fresh // world
        self.first_step, self.rank, self.world, self.threads = first_step, rank, world, threads

    def __iter__(self) -> Iterator[Batch]:
        steps = self._steps()
        if not self.threads:
            return map(self._batch, steps)
        return ahead(self._batch, steps, self.threads, 2 * self.threads)

    def _steps(self) -> Iterator[int]:
        step = self.first_step
        while True:
            yield step * self.world + self.rank
            step += 1

    def _batch(self, step: int) -> Batch:
        return self.source.batch(step, self.size, self.count)
