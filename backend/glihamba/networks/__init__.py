"""The networks: `build` makes one by its name, with fresh weights."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

from glihamba.errors import UnknownModel

if TYPE_CHECKING:  # torch is imported by whoever builds, not by whoever lists
    from glihamba.networks.base import Harmonizer

# Widths, depths and what they cost. `glihamba` meets paper 000's Table 3 (64.20 M, 14.86 G at 256 x 256)
# with 64.34 M parameters and 14.94 G multiply-adds in its linear and convolution layers; the projections
# of the step size and the reading of the states, which are products of activations, add 1.17 G.
GLIHAMBA_SIZES: dict[str, dict[str, Any]] = {
    "glihamba": {"width": 144, "encoder": (2, 2, 2, 4), "decoder": (2, 1, 1), "state_dimension": 16},
    "glihamba-small": {
        "width": 64,
        "encoder": (2, 2, 4),
        "decoder": (2, 1),
        "state_dimension": 2,
        "mask_in_encoder": True,
        "output": "transform",
        "working_size": 128,
    },
    "glihamba-tiny": {
        "width": 32,
        "encoder": (1, 2, 2),
        "decoder": (1, 1),
        "state_dimension": 1,
        "mask_in_encoder": True,
        "output": "transform",
    },
}


class Network(NamedTuple):
    """Where a network's class lies, and the settings that its name stands for."""

    module: str
    cls: str
    settings: dict[str, Any]


NETWORKS: dict[str, Network] = {
    **{name: Network("glihamba", "GLIHamba", settings) for name, settings in GLIHAMBA_SIZES.items()},
    "glihamba-cells": Network("cells", "GLIHambaCells", {}),
    "unet": Network(
        "unet",
        "UNet",
        {
            "width": 144,
            "encoder": (1, 1, 1, 1),
            "decoder": (1, 1, 1),
            "state_dimension": 0,
            "mask_in_encoder": True,
        },
    ),
    "unet-vss": Network("unet", "UNetVSS", {**GLIHAMBA_SIZES["glihamba"], "mask_in_encoder": True}),
    "gknet": Network("gknet", "GKNet", {}),
    "hdnet": Network("hdnet", "HDNet", {}),
    "hdnet-lite": Network("hdnet", "HDNet", {"width": 8}),
    "regional": Network("regional", "Regional", {}),
    "regional-p": Network("regional", "Regional", {"width": 256}),
    "frih": Network("frih", "FRIH", {}),
}
"""Every network of the papers, by name; the names are also the architectures of registered weights."""


def build(name: str, **config: Any) -> Harmonizer:
    """A harmonizer with fresh weights, in training mode.

    name: one of `NETWORKS`, whose configuration `config` gives or overrides, or "statistics", the method
    without weights. Raises UnknownModel, and TypeError for a setting that the network does not have.
    """
    if name == "statistics":
        from glihamba.networks.statistics import Statistics

        return Statistics(**config)
    network = _class(name)
    settings = {**NETWORKS[name].settings, **config}
    if unknown := settings.keys() - settings_of(name):
        raise TypeError(f"{network.__name__} has no setting {', '.join(sorted(unknown))}.")
    lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return network(network.Config(**lists))


def settings_of(name: str) -> tuple[str, ...]:
    """The names of the settings that `build(name, ...)` takes; raises UnknownModel."""
    return tuple(field.name for field in dataclasses.fields(_class(name).Config))


def _class(name: str) -> Any:
    if name not in NETWORKS:
        known = [*NETWORKS, "statistics"]
        raise UnknownModel(f'No network is called "{name}": choose one of {", ".join(known)}.')
    module = importlib.import_module(f"glihamba.networks.{NETWORKS[name].module}")
    return getattr(module, NETWORKS[name].cls)
