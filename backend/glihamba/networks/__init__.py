"""The networks: `build` makes one by its name, with fresh weights."""

from __future__ import annotations

from glihamba.networks.architectures import build, class_of, names, network, settings_of

__all__ = ["build", "class_of", "names", "network", "settings_of"]
