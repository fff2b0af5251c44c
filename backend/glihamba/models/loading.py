"""From a registered name to a network ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glihamba.models import registry, store
from glihamba.models.filling import network_of

if TYPE_CHECKING:
    from glihamba.networks.base import Harmonizer


def load(name: str = "", device: str = "cpu") -> Harmonizer:
    """The registered model `name` (empty: the default) with its weights, verified, in eval mode.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged.
    """
    record = registry.get(name)
    weights = store.open_weights(record) if record.has_weights else {}
    return network_of(record, weights).to(device)
