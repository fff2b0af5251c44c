"""Checkpoints: written whole or not at all, read with a sentence for what is wrong with them."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from glihamba.errors import BadRequest, HarmonizeError
from glihamba.models import load, registry
from glihamba.models.registry import BadRecord, Record
from glihamba.models.store import METADATA_KEY
from glihamba.networks.vss import MLGVSSBlock, VSSBlock
from glihamba_training.data.picture_cache import DISK_FULL

NOT_STATED = "not stated"


class BadCheckpoint(BadRequest):
    """A file that is no checkpoint, or another model's; `str(error)` names it and says what to do."""


class CannotSave(HarmonizeError):
    """The disk is full; `str(error)` says which checkpoint is left."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside and renames: whatever happens meanwhile, the last checkpoint is whole.

    Lightning's own way writes into the folder for temporary files, which may be on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        part = path.with_name(path.name + ".part")
        stream = io.BytesIO()
        torch.save(checkpoint, stream)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(stream.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno in DISK_FULL:
                raise disk_full(path, checkpoint["global_step"]) from error
            raise


def disk_full(last: Path, step: int | None = None) -> CannotSave:
    """What to say when the disk is full: `last` is where the last checkpoint lies, if there is one."""
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


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training's checkpoint, on the CPU; raises BadCheckpoint."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise BadCheckpoint(
            f"{path} is no checkpoint, or it is damaged: give one that training wrote."
        ) from error
    if not isinstance(saved, dict) or not {"state_dict", "global_step", "hyper_parameters"} <= saved.keys():
        raise BadCheckpoint(f"{path} is no checkpoint of `glihamba train`: give one that it wrote.")
    return saved


def recorded(saved: dict[str, Any]) -> dict[str, Any]:
    """What a run recorded of itself in its checkpoint; checkpoints from before runs did have only a count.

    data: what the weights were trained on, by whatever run, a table each. licences: of the models whose
    weights they were started from, by name.
    """
    seen = saved["global_step"] * saved["hyper_parameters"]["recipe"]["batch"]
    nothing = {"composites": seen, "seconds": 0.0, "data": [], "started_from": "", "machine": ""}
    known = {**nothing, **saved.get("provenance", {})}
    started = known["started_from"]  # by a run that did not note the licence
    return {"licences": {started: NOT_STATED} if started else {}, **known}


def inherited(name_or_path: str) -> dict[str, Any]:
    """The `data` and `licences` (see `recorded`) that whoever starts from these weights takes over."""
    path = Path(name_or_path)
    if path.suffix == ".ckpt":
        before = recorded(read_checkpoint(path))
        return {key: before[key] for key in ("data", "licences")}
    if path.suffix == ".safetensors":
        return {"data": [], "licences": {path.name: _licence_inside(path)}}
    record = registry.get(name_or_path)
    return {"data": [], "licences": {record.name: record.licence or NOT_STATED}}


def _licence_inside(path: Path) -> str:
    import safetensors

    with safetensors.safe_open(path, "pt") as file:
        record = (file.metadata() or {}).get(METADATA_KEY, "")
    try:
        return Record.from_json(record).licence or NOT_STATED
    except BadRecord:
        return NOT_STATED


def averaged_weights(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The network's averaged weights in a checkpoint, and the recipe it was trained by."""
    saved = read_checkpoint(checkpoint)
    return network_weights(saved), saved["hyper_parameters"]["recipe"]


def network_weights(saved: dict[str, Any]) -> dict[str, Tensor]:
    """The averaged weights in what `read_checkpoint` has read, by the network's own names."""
    prefix = "network."
    return {k.removeprefix(prefix): v for k, v in saved["state_dict"].items() if k.startswith(prefix)}


def starting_weights(name_or_path: str) -> dict[str, Tensor]:
    """Weights to start from: a registered model's, a checkpoint's or a safetensors file's.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged, BadCheckpoint.
    """
    path = Path(name_or_path)
    if path.suffix == ".ckpt":
        return averaged_weights(path)[0]
    if path.suffix == ".safetensors":
        import safetensors.torch

        try:
            return dict(safetensors.torch.load_file(path))
        except (OSError, safetensors.SafetensorError) as error:
            raise BadCheckpoint(f"{path} is no safetensors file, or it is damaged: give another.") from error
    return dict(load(name_or_path).state_dict())


def fill(network: torch.nn.Module, weights: dict[str, Tensor], origin: str, model: str) -> None:
    """Gives the network all the weights; raises BadCheckpoint when they are another network's."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BadCheckpoint(
            f"The weights of {origin} do not fit the recipe's {model}: start from the same network, with the"
            " settings that the recipe's [config] gives it."
        ) from error


def grown(network: torch.nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and for state-space blocks that they lack those that the network has, silenced.

    A block adds what it finds to what it is given: with nothing in its last layer it passes that on, so the
    network begins as the one that the weights are of.
    """
    added: dict[str, Tensor] = {}
    for name, block in network.named_modules():
        lacking = not any(key.startswith(f"{name}.") for key in weights)
        if lacking and isinstance(block, VSSBlock | MLGVSSBlock):
            added |= {f"{name}.{key}": value for key, value in block.state_dict().items()}
            added[f"{name}.project_out.weight"] = torch.zeros_like(block.project_out.weight)
    return {**added, **weights}
