"""Checkpoints: written whole or not at all; what is wrong with one is said in a sentence.

There are two kinds. `NAME.ckpt` is Lightning's, with the optimiser's state: a run that is resumed from it
ends with the very weights of an unbroken run. `NAME.safetensors` holds weights in half precision and, as JSON
in its header, the step, the recipe (with its seed) and the provenance: a tenth of the size, for keeping.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from glihamba.errors import BadRequest, HarmonizeError
from glihamba.models import load, registry
from glihamba.models.filling import WeightsDoNotFit, fill
from glihamba.models.registry import BadRecord, Record
from glihamba.models.store import METADATA_KEY
from glihamba.networks.semantic import Meaning
from glihamba.networks.transform_head import OtherAnswers, TransformHead
from glihamba.networks.vss import MLGVSSBlock, VSSBlock
from glihamba_proto.files import replacing
from glihamba_training.data.picture_cache import DISK_FULL

NOT_STATED = "not stated"
SEEN_KEY = "glihamba.seen"  # of the fingerprints of training pictures, as JSON, in a model file's header
CHECKPOINT_KEY = "glihamba.checkpoint"  # of the JSON in a safetensors file's header
_PREFIX = "network."  # of the network's weights in a Lightning checkpoint


class BadCheckpoint(BadRequest):
    """A file that is not a checkpoint, or is another model's; `str(error)` names it and says what to do."""


class CannotSave(HarmonizeError):
    """The disk is full; `str(error)` says which checkpoint is left."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the last checkpoint and renames: whatever happens meanwhile, the last one is whole.

    Lightning's own way writes into the folder for temporary files, which may be on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        stream = io.BytesIO()
        torch.save(checkpoint, stream)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as file:
                file.write(stream.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno in DISK_FULL:
                raise disk_full(path, checkpoint["global_step"]) from error
            raise


def disk_full(last: Path, step: int | None = None) -> CannotSave:
    """The error for a full disk. last: the last checkpoint, if there is one. step: the one that was not
    saved.
    """
    lost = (
        f"step {step} could not be saved in {last.parent}"
        if step is not None
        else f"make room in {last.parent}"
    )
    if not last.is_file():
        return CannotSave(
            f"The disk is full: {lost}. No checkpoint had been written: make room and start again."
        )
    kept = read_checkpoint(last)["global_step"]
    return CannotSave(
        f"The disk is full: {lost}. The checkpoint of step {kept} is unharmed: make room and go on with"
        f" --resume {last}"
    )


def write_weights(checkpoint: Path, path: Path) -> None:
    """Write a checkpoint's averaged weights in half precision, to go on from: `path`, a .safetensors file.

    The folders of the training pictures are left out: they are this machine's. Raises BadCheckpoint.
    """
    saved = read_checkpoint(checkpoint)
    past = recorded(saved)
    header = {
        "step": saved["global_step"],
        "recipe": saved["hyper_parameters"]["recipe"],
        "provenance": {**past, "data": [{**data, "root": ""} for data in past["data"]]},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = halved(network_weights(saved), checkpoint)
    with replacing(path) as part:
        part.write_bytes(safetensors.torch.save(weights, {CHECKPOINT_KEY: json.dumps(header)}))


def halved(weights: dict[str, Tensor], origin: Path) -> dict[str, Tensor]:
    """The floats in half precision; raises BadCheckpoint if one of them is too large for it."""
    halves = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    for name, t in halves.items():
        if not torch.isfinite(t).all():
            raise BadCheckpoint(
                f"{origin} holds a weight that is too large for half precision, in {name}: export it in full."
            )
    return halves


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training's checkpoint of either kind, on the CPU: a dict with Lightning's keys, of which a
    .safetensors file has state_dict, global_step, hyper_parameters and provenance. Raises BadCheckpoint.
    """
    if path.suffix == ".safetensors":
        return _read_weights(path)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise BadCheckpoint(
            f"{path} is not a checkpoint, or it is damaged: give one that training wrote."
        ) from error
    if not isinstance(saved, dict) or not {"state_dict", "global_step", "hyper_parameters"} <= saved.keys():
        raise BadCheckpoint(f"{path} is not a checkpoint of `glihamba train`: give one that it wrote.")
    return saved


def _read_weights(path: Path) -> dict[str, Any]:
    weights, header = _opened(path)
    try:
        said = json.loads(header[CHECKPOINT_KEY])
        return {
            "state_dict": {_PREFIX + name: weight for name, weight in weights.items()},
            "global_step": said["step"],
            "hyper_parameters": {"recipe": said["recipe"]},
            "provenance": said["provenance"],
        }
    except (KeyError, ValueError) as error:
        raise BadCheckpoint(
            f"{path} holds weights without a training's step and recipe: start from it with --from."
        ) from error


def _opened(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A safetensors file's tensors in 32 bits, and its header; raises BadCheckpoint."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise BadCheckpoint(f"{path} is not a safetensors file, or it is damaged: give another.") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, header


def recorded(saved: dict[str, Any]) -> dict[str, Any]:
    """What a run recorded of itself in its checkpoint; old checkpoints recorded a count alone.

    data: what the weights were trained on, by all runs, a table each. seen: fingerprints of its pictures, see
    `fingerprints.Seen`. licences: of the models whose weights
    they were started from, by name.
    """
    seen = saved["global_step"] * saved["hyper_parameters"]["recipe"]["batch"]
    nothing = {"composites": seen, "seconds": 0.0, "crops": 0, "widened": 0}
    nothing |= {"data": [], "seen": [], "started_from": "", "machine": ""}
    known = {**nothing, **saved.get("provenance", {})}
    started = known["started_from"]  # by a run that did not note the licence
    return {"licences": {started: NOT_STATED} if started else {}, **known}


def inherited(name_or_path: str) -> dict[str, Any]:
    """What a run takes over of `recorded` if it starts from these weights: `data`, `licences` and `seen`."""
    path = Path(name_or_path)
    if path.suffix == ".safetensors" and CHECKPOINT_KEY not in (header := header_of(path)):
        licence = _licence(header.get(METADATA_KEY, ""))
        return {"data": [], "licences": {path.name: licence}, "seen": _seen(header)}
    if path.suffix in (".ckpt", ".safetensors"):
        before = recorded(read_checkpoint(path))
        return {key: before[key] for key in ("data", "licences", "seen")}
    record = registry.get(name_or_path)
    licences = {record.name: record.licence or NOT_STATED}
    return {"data": [], "licences": licences, "seen": seen_records(name_or_path)}


def seen_records(name_or_path: str) -> list[dict[str, Any]]:
    """What `recorded` calls `seen`, of a registered model, a checkpoint or a safetensors file."""
    path = Path(name_or_path)
    if path.suffix == ".ckpt":
        records: list[dict[str, Any]] = recorded(read_checkpoint(path))["seen"]
        return records
    if path.suffix != ".safetensors":
        record = registry.get(name_or_path)
        if not record.has_weights:
            return []
        path = registry.weights_path(record)
    header = header_of(path)
    if CHECKPOINT_KEY in header:
        return recorded(_read_weights(path))["seen"]
    return _seen(header)


def _seen(header: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return list(json.loads(header.get(SEEN_KEY, "[]")))
    except ValueError:
        return []


def header_of(path: Path) -> dict[str, str]:
    """The texts in a safetensors file's header; raises BadCheckpoint."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise BadCheckpoint(f"{path} is not a safetensors file, or it is damaged: give another.") from error


def _licence(record: str) -> str:
    try:
        return Record.from_json(record).licence or NOT_STATED
    except BadRecord:
        return NOT_STATED


def averaged_weights(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The network's averaged weights in a checkpoint, and the recipe it was trained by."""
    saved = read_checkpoint(checkpoint)
    return network_weights(saved), saved["hyper_parameters"]["recipe"]


def network_weights(saved: dict[str, Any]) -> dict[str, Tensor]:
    """The averaged weights in what `read_checkpoint` returned, by the network's own names."""
    return {k.removeprefix(_PREFIX): v for k, v in saved["state_dict"].items() if k.startswith(_PREFIX)}


def starting_weights(name_or_path: str) -> dict[str, Tensor]:
    """Weights to start from: a registered model's, a checkpoint's or a safetensors file's.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged, BadCheckpoint.
    """
    path = Path(name_or_path)
    if path.suffix == ".ckpt":
        return averaged_weights(path)[0]
    if path.suffix == ".safetensors":
        return _opened(path)[0]
    return dict(load(name_or_path).state_dict())


def take_weights(network: torch.nn.Module, weights: dict[str, Tensor], origin: str, model: str) -> None:
    """Give the network all the weights, which come from `origin`. Raises BadCheckpoint if they do not fit."""
    try:
        fill(network, weights)
    except WeightsDoNotFit as error:
        raise BadCheckpoint(
            f"The weights of {origin} do not fit the recipe's {model}: start from the same network, with the"
            " settings that the recipe's [config] gives it."
        ) from error


def with_silent_parts(network: torch.nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and the network's own for what they lack: state-space blocks with an output of 0, answers
    beside the first, and what the head reads besides, which counts for 0. Answers are left out if the network
    has no others.

    A block adds its output to its input, so a network with silent blocks begins as the one without them.
    """
    heads = [
        f"{name}.others." for name, head in network.named_modules() if getattr(head, "others", 1) is None
    ]
    weights = {name: value for name, value in weights.items() if not name.startswith(tuple(heads))}
    added: dict[str, Tensor] = {}
    for name, block in network.named_modules():
        lacking = not any(key.startswith(f"{name}.") for key in weights)
        if isinstance(block, TransformHead):
            weights = _reading_more(weights, name, block)
        if not lacking or not isinstance(block, VSSBlock | MLGVSSBlock | OtherAnswers | Meaning):
            continue
        added |= {f"{name}.{key}": value for key, value in block.state_dict().items()}
        if isinstance(block, VSSBlock | MLGVSSBlock):
            added[f"{name}.project_out.weight"] = torch.zeros_like(block.project_out.weight)
    return {**added, **weights}


def _reading_more(weights: dict[str, Tensor], name: str, head: TransformHead) -> dict[str, Tensor]:
    """The weights, with columns of 0 for what the head reads and they do not, after what they read."""
    guess = f"{name}.global_mlp.0.weight"
    if guess not in weights:
        return weights
    known = weights[guess].shape[1]
    more = head.described - known
    if more <= 0:
        return weights
    widened = {}
    for each in (guess, f"{name}.others.mlp.0.weight"):
        if (old := weights.get(each)) is not None:
            before, after = old[:, :known], old[:, known:]
            widened[each] = torch.cat((before, old.new_zeros(len(old), more), after), 1)
    return {**weights, **widened}
