"""Harmonizers by name: `build` gives fresh weights, `load` the registered ones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from glihamba.errors import UnknownModel

if TYPE_CHECKING:  # torch is imported by whoever builds, not by whoever lists
    from glihamba.models.base import Harmonizer

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
        "working_size": 64,
    },
}
ARCHITECTURES = ("glihamba", "statistics")


def build(name: str, **config: Any) -> Harmonizer:
    """A harmonizer with fresh weights, in training mode.

    name: a size ("glihamba", "glihamba-small", "glihamba-tiny"), a method without weights
    ("statistics") or an architecture, whose configuration `config` then gives or overrides.
    Raises UnknownModel.
    """
    if name in GLIHAMBA_SIZES:
        from glihamba.models.glihamba import GLIHamba, GLIHambaConfig

        fields = {f.name for f in dataclasses.fields(GLIHambaConfig)}
        settings = {**GLIHAMBA_SIZES[name], **config}
        unknown = settings.keys() - fields
        if unknown:
            raise TypeError(f"GLIHamba has no setting {', '.join(sorted(unknown))}.")
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return GLIHamba(GLIHambaConfig(**lists))
    if name == "statistics":
        from glihamba.models.statistics import Statistics

        return Statistics(**config)
    known = [*GLIHAMBA_SIZES, "statistics"]
    raise UnknownModel(f'No network is called "{name}": choose one of {", ".join(known)}.')


def load(name: str = "", device: str = "cpu") -> Harmonizer:
    """The registered model `name` (empty: the default) with its weights, verified, in eval mode.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged.
    """
    from glihamba.models import loading

    return loading.load(name, device)
