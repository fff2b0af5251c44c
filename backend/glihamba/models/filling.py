"""A network with given weights: every one and no other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glihamba.errors import ModelDamaged
from glihamba.models.registry import Record

if TYPE_CHECKING:  # torch is imported by whoever fills, not by whoever lists
    from torch import Tensor, nn

    from glihamba.networks.base import Harmonizer


class WeightsDoNotFit(ValueError):
    """Weights of another network; `str(error)` is the first reason, in at most 120 characters."""


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the network all the weights. Raises WeightsDoNotFit."""
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsDoNotFit(textwrap.shorten(first.rstrip(". "), 120, placeholder=" …")) from error


def network_of(record: Record, weights: Mapping[str, Tensor]) -> Harmonizer:
    """The record's network with `weights`, in eval mode. Raises UnknownModel, ModelDamaged."""
    from glihamba.networks import build, class_of

    try:
        implied = class_of(record.architecture).before if record.config else {}
        network = build(record.architecture, **{**implied, **record.config})
    except TypeError as error:
        raise ModelDamaged(
            f"The record of '{record.name}' does not fit this GLIHamba ({error})."
            " Update GLIHamba, or remove the model.",
            case="DOES_NOT_FIT",
            model=record.name,
        ) from None
    try:
        fill(network, weights)
    except WeightsDoNotFit as error:
        raise ModelDamaged(
            f"The weights of '{record.name}' do not fit the network '{record.architecture}'"
            f" ({error}). Add a file made for it, or name the right architecture.",
            case="DOES_NOT_FIT",
            model=record.name,
        ) from None
    return network.eval()
