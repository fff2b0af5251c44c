"""Scores models on iHarmony4 triples and on synthetic composites of the val shard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glihamba.models import load
from glihamba.models.base import Harmonizer
from glihamba_training.iharmony4 import Triple, read_triples
from glihamba_training.photos import load_bank
from glihamba_training.protocols import PROTOCOLS, Scores
from glihamba_training.synthesis import Synthesis, SynthesisSettings

COMPOSITE = "composite"  # the name under which the untouched input is scored

VAL_SIZE = 256
# Fixed, whatever training's recipe becomes: figures must stay comparable.
VAL_SETTINGS = SynthesisSettings(
    kinds=(1.0, 0.0, 0.0),
    scene=0.5,
    plain=0.5,
    transfer=0.2,
    lut=0.3,
    unchanged=0.0,
    median_mse=1200.0,
    log_spread=1.6,
    amplify=2.5,
    smallest_crop=1.0,
)
VAL_SEED = 20_000


@dataclass(frozen=True)
class Row:
    """One picture's scores under one protocol by one model."""

    protocol: str
    model: str
    subset: str
    picture: str
    scores: Scores


@dataclass(frozen=True)
class Summary:
    """Means over pictures. worsened: pictures that lost more than 0.3 dB against the composite."""

    protocol: str
    model: str
    pictures: int
    psnr: float
    mse: float
    fmse: float
    worsened: int


def val_triples(data: Path, count: int = 256) -> Iterator[Triple]:
    """The first `count` fixed synthetic composites of the val shard, 256 x 256, whole objects."""
    synthesis = Synthesis(load_bank(data, "val", VAL_SIZE), VAL_SETTINGS, VAL_SEED)
    for index in range(count):
        batch = synthesis.batch(index, VAL_SIZE, 2)  # two: statistics are transferred from the other
        pixels = [(plane[0] * 255).round().byte().permute(1, 2, 0).numpy() for plane in batch]
        yield Triple(f"val{index:04}", "val", pixels[0], np.ascontiguousarray(pixels[1][..., 0]), pixels[2])


def triples_of(root: Path, count: int = 256) -> Iterable[Triple]:
    """iHarmony4 triples if `root` holds its lists, else synthetic composites of its photograph shards."""
    if (root / "IHD_test.txt").is_file():
        return read_triples(root)
    return val_triples(root, count)


def evaluate(
    triples: Iterable[Triple],
    models: dict[str, Harmonizer | None],
    protocols: Iterable[str],
    progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Every model on every picture under every protocol; None stands for the composite itself."""
    rows = []
    for triple in triples:
        for protocol in protocols:
            for name, network in models.items():
                scores = PROTOCOLS[protocol](triple, network)
                rows.append(Row(protocol, name, triple.subset, triple.name, scores))
        progress()
    return rows


def load_models(names: Iterable[str]) -> dict[str, Harmonizer | None]:
    """Registered models by name; "composite" is the untouched input."""
    return {name: None if name == COMPOSITE else load(name) for name in names}


def summarise(rows: list[Row]) -> list[Summary]:
    """One line for each protocol and model, in order of appearance."""
    composite = {(r.protocol, r.picture): r.scores.psnr for r in rows if r.model == COMPOSITE}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.model), []).append(row)
    summaries = []
    for (protocol, model), group in groups.items():
        psnr, mse, fmse = (
            float(np.mean([getattr(row.scores, name) for row in group])) for name in ("psnr", "mse", "fmse")
        )
        before = [composite.get((protocol, r.picture), r.scores.psnr) for r in group]
        worsened = sum(r.scores.psnr < b - 0.3 for r, b in zip(group, before, strict=True))
        summaries.append(Summary(protocol, model, len(group), psnr, mse, fmse, worsened))
    return summaries
