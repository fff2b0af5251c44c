"""`glihamba train` and `evaluate`: they hand over to `glihamba_training`."""

from __future__ import annotations

import importlib
from typing import Any

from glihamba.errors import HarmonizeError

_EXTRA = ("lightning", "torchmetrics", "tensorboard", "tomli")


class NeedsExtra(HarmonizeError):
    """The libraries for training are not installed."""


def _training(module: str) -> Any:
    """A module of `glihamba_training`; raises NeedsExtra when its libraries are missing."""
    try:
        return importlib.import_module(f"glihamba_training.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _EXTRA:
            raise
        raise NeedsExtra(
            f"This needs {error.name}, which is not installed: pip install 'glihamba[train]'"
        ) from None
