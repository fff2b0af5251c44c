"""From a checkpoint to a registry entry: weights, provenance and measured metrics in one go."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glihamba.models import build, store
from glihamba.models.registry import LOCAL, Record
from glihamba_training.checkpoints import BadCheckpoint, fill, network_weights, read_checkpoint
from glihamba_training.evaluate import evaluate, summarise
from glihamba_training.iharmony4 import Triple, is_copy
from glihamba_training.photos import examples


def export(
    checkpoint: Path,
    folder: Path,
    *,
    name: str,
    title: str,
    description: str,
    licence: str = "",
    training_data: str = "",
    scored_on: Mapping[str, tuple[Iterable[Triple], Iterable[str]]],
    source: str = LOCAL,
    half: bool = False,
) -> Record:
    """Writes `folder/NAME.safetensors` and `NAME.json` from a checkpoint's averaged weights.

    half: in half precision; the figures are those of the rounded weights.

    scored_on: a set's name in words -> its triples and the protocols to score it under; the figures go
    into the record as "PROTOCOL, SET". What `licence` and `training_data` leave empty is filled in from what
    the run recorded; the training data's text gets the number of composites seen. Raises BadCheckpoint.
    """
    saved = read_checkpoint(checkpoint)
    weights, recipe = network_weights(saved), saved["hyper_parameters"]["recipe"]
    if half:
        weights = _halved(weights, checkpoint)
    provenance = recorded(saved)
    network = build(recipe["model"], **recipe.get("config", {}))
    fill(network, weights, str(checkpoint), recipe["model"])
    network.eval()
    metrics: dict[str, dict[str, float]] = {}
    for pictures, (triples, protocols) in scored_on.items():
        for summary in summarise(evaluate(triples, {name: network}, protocols)):
            figures = {key: round(getattr(summary, key), 2) for key in ("psnr", "mse", "fmse")}
            metrics[f"{summary.protocol}, {pictures}"] = figures
    seen = provenance["composites"]
    size = recipe["size"]
    data = f"{training_data} {seen:,} composites" if training_data else _training_data(provenance)
    config: dict[str, Any] = dataclasses.asdict(network.config)
    record = Record(
        name=name,
        title=title,
        description=description,
        architecture=network.architecture,
        config=config,
        licence=licence or _licence(provenance),
        training_data=f"{data}, the last of {size} x {size} pixels.".strip(),
        source=source,
        metrics=metrics,
        paper=network.paper,
    )
    return store.save(folder / f"{name}.safetensors", weights, record)


def _halved(weights: Mapping[str, Tensor], checkpoint: Path) -> dict[str, Tensor]:
    """The floats in half precision; raises BadCheckpoint for one that it has no room for."""
    halves = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    for name, t in halves.items():
        if not torch.isfinite(t).all():
            raise BadCheckpoint(
                f"{checkpoint} holds a weight that half precision has no room for, in {name}:"
                " leave out --half."
            )
    return halves


def recorded(saved: dict[str, Any]) -> dict[str, Any]:
    """What a run recorded of itself in its checkpoint; checkpoints from before runs did have only a count."""
    seen = saved["global_step"] * saved["hyper_parameters"]["recipe"]["batch"]
    nothing = {"composites": seen, "seconds": 0.0, "data": [], "started_from": "", "machine": ""}
    return {**nothing, **saved.get("provenance", {})}


def held_out(checkpoint: Path) -> list[Path]:
    """The folders that the run trained on and that hold pictures kept from it, if they are still there."""
    roots = [Path(data["root"]) for data in recorded(read_checkpoint(checkpoint))["data"]]
    return [
        root
        for root in roots
        if (root / "IHD_test.txt").is_file()
        or (not is_copy(root) and root.is_dir() and next(examples(root, "val"), None) is not None)
    ]


def _training_data(provenance: dict[str, Any]) -> str:
    """What it was trained on, for how long and on what, in words."""
    sentences = []
    for data in provenance["data"]:
        if data["kind"] == "iHarmony4":
            sentences.append(f"iHarmony4's {data['composites']:,} training composites.")
            continue
        licences = "; ".join(f"{count:,} {licence}" for licence, count in data["licences"].items())
        stated = f" (licences: {licences})" if licences else ""
        sentences.append(f"{data['photographs']:,} photographs{stated}, recoloured at random.")
    if provenance["started_from"]:
        sentences.append(f"Started from the weights of {provenance['started_from']}.")
    if provenance["seconds"]:
        sentences.append(f"{provenance['seconds'] / 3600:.1f} hours on {provenance['machine']}:")
    return " ".join([*sentences, f"{provenance['composites']:,} composites seen"])


def _licence(provenance: dict[str, Any]) -> str:
    """The training pictures' licences: what the weights may be used for follows from them."""
    names = dict.fromkeys(name for data in provenance["data"] for name in data["licences"])
    if any(data["kind"] == "iHarmony4" for data in provenance["data"]):
        names["iHarmony4's"] = None
    return f"as the training pictures' licences allow: {', '.join(names)}" if names else "not stated"
