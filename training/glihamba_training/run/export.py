"""From a checkpoint to a registry entry: weights, provenance and measured metrics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glihamba.errors import BadRequest
from glihamba.models import store
from glihamba.models.registry import LOCAL, Record
from glihamba.networks import build
from glihamba_training.data.fingerprints import Seen, Watch
from glihamba_training.data.iharmony4 import Triple, is_copy, read_triples
from glihamba_training.run.checkpoints import (
    NOT_STATED,
    SEEN_KEY,
    halved,
    network_weights,
    read_checkpoint,
    recorded,
    take_weights,
)
from glihamba_training.scoring.evaluate import evaluate, summarise, val_triples


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
    half: bool = False,
) -> Record:
    """Writes `folder/NAME.safetensors` and `NAME.json` from a checkpoint's averaged weights.

    half: in half precision; the figures are those of the rounded weights. scored_on: a set's name in words ->
    its triples and the protocols to score it under; the figures go into the record as "PROTOCOL, SET".
    licence and training_data are filled in from the run's record where they are empty; the text on training
    data gets the number of composites seen, and says which of the pictures scored the run was trained on.
    Raises BadCheckpoint.
    """
    saved = read_checkpoint(checkpoint)
    weights, recipe = network_weights(saved), saved["hyper_parameters"]["recipe"]
    if half:
        weights = halved(weights, checkpoint)
    provenance = recorded(saved)
    network = build(recipe["model"], **recipe.get("config", {}))
    take_weights(network, weights, str(checkpoint), recipe["model"])
    network.eval()
    metrics: dict[str, dict[str, float]] = {}
    fingerprints = provenance["seen"]
    watch = Watch({name: Seen.of_records(fingerprints)})
    for pictures, (triples, protocols) in scored_on.items():
        triples = watch.watched(triples)
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
        training_data=" ".join([f"{data}, the last of {size} x {size} pixels.".strip(), *watch.sentences()]),
        source=LOCAL,
        metrics=metrics,
        paper=network.paper,
    )
    return store.save(folder / f"{name}.safetensors", weights, record, {SEEN_KEY: json.dumps(fingerprints)})


def held_out(checkpoint: Path) -> dict[Path, str]:
    """The folders that the run trained on, each with the reason why it can't be scored on, "" if it can."""
    noted = recorded(read_checkpoint(checkpoint))["data"]
    roots = [Path(data["root"]) for data in noted if data["root"]]
    return {root: _unscorable(root) for root in roots}


def _unscorable(root: Path) -> str:
    """Why its held-out pictures can't be scored: the folder has moved, has none, or no whole objects."""
    try:
        next(iter(read_triples(root) if is_copy(root) else val_triples(root, 1)), None)
    except (FileNotFoundError, BadRequest) as error:
        return str(error)
    return ""


def _training_data(provenance: dict[str, Any]) -> str:
    """The training pictures, the hours and the machine, in words."""
    sentences = []
    for data in provenance["data"]:
        if data["kind"] == "iHarmony4":
            sentences.append(f"{data.get('set', 'iHarmony4')}'s {data['composites']:,} training composites.")
            continue
        licences = "; ".join(f"{count:,} {licence}" for licence, count in data["licences"].items())
        stated = f" (licences: {licences})" if licences else ""
        sentences.append(f"{data['photographs']:,} photographs{stated}, recoloured at random.")
    if provenance["started_from"]:
        sentences.append(f"Started from the weights of {provenance['started_from']}.")
    if provenance["seconds"]:
        sentences.append(f"{provenance['seconds'] / 3600:.1f} hours on {provenance['machine']}:")
    if provenance["widened"]:
        sentences.append(
            f"{provenance['widened']:,} of {provenance['crops']:,} crops held too little or too much of the"
            " object and were widened to the whole picture."
        )
    return " ".join([*sentences, f"{provenance['composites']:,} composites seen"])


def _licence(provenance: dict[str, Any]) -> str:
    """The licences of the training pictures and of the weights that the run started from, in words.

    What the model may be used for follows from all of them.
    """
    pictures = dict.fromkeys(name for data in provenance["data"] for name in _licences(data))
    if not provenance["licences"]:
        stated = pictures.keys() - {NOT_STATED}
        return f"as the training pictures' licences allow: {', '.join(pictures)}" if stated else NOT_STATED
    weights = [f"of the weights of {name} ({licence})" for name, licence in provenance["licences"].items()]
    of = [f"of the training pictures ({', '.join(pictures)})", *weights]
    return f"as these licences allow: {'; '.join(of)}"


def _licences(data: dict[str, Any]) -> list[str]:
    if data["kind"] == "iHarmony4":
        return [f"{data.get('set', 'iHarmony4')}'s"]
    unstated = data["photographs"] > sum(data["licences"].values())
    return [*data["licences"], *([NOT_STATED] if unstated else [])]
