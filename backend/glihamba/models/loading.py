"""From a registered name to a network ready to run."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glihamba.errors import ModelDamaged
from glihamba.models import registry, store
from glihamba.models.registry import Record

if TYPE_CHECKING:
    from torch import Tensor

    from glihamba.networks.base import Harmonizer


def load(name: str = "", device: str = "cpu") -> Harmonizer:
    """The registered model `name` (empty: the default) with its weights, verified, in eval mode.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged.
    """
    record = registry.get(name)
    weights = store.open_weights(record) if record.has_weights else {}
    return fill(record, weights).to(device)


def fill(record: Record, weights: Mapping[str, Tensor]) -> Harmonizer:
    """Build the record's network and give it `weights`, every one and no other."""
    from glihamba.networks import build

    try:
        network = build(record.architecture, **record.config)
    except TypeError as error:
        raise ModelDamaged(
            f"The record of '{record.name}' does not fit this GLIHamba ({error})."
            " Update GLIHamba, or remove the model."
        ) from None
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        reason = textwrap.shorten(first.rstrip(". "), 120, placeholder=" …")  # it may list every tensor
        raise ModelDamaged(
            f"The weights of '{record.name}' do not fit the network '{record.architecture}'"
            f" ({reason}). Add a file made for it, or name the right architecture."
        ) from None
    return network.eval()
