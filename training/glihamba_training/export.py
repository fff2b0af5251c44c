"""From a checkpoint to a registry entry: weights, provenance and measured metrics in one go."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from glihamba.models import build, store
from glihamba.models.registry import LOCAL, Record
from glihamba_training.evaluate import evaluate, summarise
from glihamba_training.iharmony4 import Triple
from glihamba_training.train import averaged_weights


def export(
    checkpoint: Path,
    folder: Path,
    *,
    name: str,
    title: str,
    description: str,
    licence: str,
    training_data: str,
    scored_on: Mapping[str, tuple[Iterable[Triple], Iterable[str]]],
    source: str = LOCAL,
) -> Record:
    """Writes `folder/NAME.safetensors` and `NAME.json` from a checkpoint's averaged weights.

    scored_on: a set's name in words -> its triples and the protocols to score it under; the figures go
    into the record as "PROTOCOL, SET". The training data's text gets the number of composites seen.
    """
    weights, recipe = averaged_weights(checkpoint)
    network = build(recipe["model"], **recipe.get("config", {}))
    network.load_state_dict(weights)
    network.eval()
    metrics: dict[str, dict[str, float]] = {}
    for pictures, (triples, protocols) in scored_on.items():
        for summary in summarise(evaluate(triples, {name: network}, protocols)):
            figures = {key: round(getattr(summary, key), 2) for key in ("psnr", "mse", "fmse")}
            metrics[f"{summary.protocol}, {pictures}"] = figures
    seen = torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"] * recipe["batch"]
    size = recipe["size"]
    config: dict[str, Any] = dataclasses.asdict(network.config)
    record = Record(
        name=name,
        title=title,
        description=description,
        architecture=network.architecture,
        config=config,
        licence=licence,
        training_data=f"{training_data} {seen:,} composites, the last of {size} x {size} pixels.".strip(),
        source=source,
        metrics=metrics,
        paper=network.paper,
    )
    return store.save(folder / f"{name}.safetensors", weights, record)
