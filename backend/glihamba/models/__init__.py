"""Registered models: records, their weights on disk, and a network made of both (`load`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is imported by whoever loads, not by whoever lists
    from glihamba.networks.base import Harmonizer


def load(name: str = "", device: str = "cpu") -> Harmonizer:
    """The registered model `name` (empty: the default) with its weights, verified, in eval mode.

    Raises UnknownModel, ModelNotInstalled, ModelDamaged.
    """
    from glihamba.models import loading

    return loading.load(name, device)
