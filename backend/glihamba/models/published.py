"""Weights of a paper's authors, as their public code saves them, turned into a model file of ours.

A `.pth` is a pickle, which can run any program. It is read in torch's weights-only mode, which builds tensors
and plain containers alone. Each network says in `from_published` which of its names stands for which of
theirs.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glihamba.errors import BadRequest
from glihamba.models import registry, store
from glihamba.models.filling import WeightsDoNotFit, fill
from glihamba.models.registry import BadRecord, Record

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPED = ("state_dict", "model", "net", "netG")  # the names under which trainings keep a network's weights
_PARALLEL = "module."  # what torch's DataParallel puts before each name


def convert(path: Path, folder: Path, *, name: str, architecture: str, licence: str = "") -> Record:
    """Write `folder/NAME.safetensors` and its record from public weights of a network.

    architecture: a network whose authors' code is public, such as "hdnet". licence: of the weights. Raises
    UnknownModel, and BadRequest for a file that is not such weights.
    """
    from glihamba.networks import build

    network = build(architecture)
    theirs = _tensors(path)
    try:
        fill(network, network.from_published(theirs))
    except NotImplementedError:
        raise BadRequest(
            f"The names in public weights of {architecture} are not known: give `glihamba models add` a file"
            " of ours."
        ) from None
    except (KeyError, WeightsDoNotFit) as error:
        raise BadRequest(f"{path} does not hold public weights of {architecture} ({error}).") from error
    try:
        record = Record(
            name=name,
            title=name,
            description=f"Public weights of {network.paper}.",
            architecture=network.architecture,
            config=asdict(network.config),
            licence=licence or "not stated",
            training_data="as the paper states",
            source=registry.LOCAL,
            paper=network.paper,
        )
    except BadRecord as error:
        raise BadRequest(str(error)) from error
    return store.save(folder / f"{name}.safetensors", network.state_dict(), record)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The file's tensors by their names. Raises BadRequest for a file that holds no tensors, or programs."""
    import torch

    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise BadRequest(
            f"{path} is not a file of weights alone, or it is damaged. It was not opened any further, because"
            " a pickle can run any program."
        ) from error
    for name in _WRAPPED:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict):
        raise BadRequest(f"{path} holds no weights by name: give the file that the public code loads.")
    tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
    return {name.removeprefix(_PARALLEL): value.float() for name, value in tensors.items()}
