"""Every network by its name. A network registers itself, by `@network`, where its class stands.

The modules of this package are found by its folder: a new network is a new file in it. They are imported when
a network is first asked for, since all of them import torch.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from glihamba.errors import UnknownModel

if TYPE_CHECKING:
    from glihamba.networks.base import Harmonizer

H = TypeVar("H", bound="Harmonizer")
_NO_SIZES: Mapping[str, Mapping[str, Any]] = {}
_PACKAGE = "glihamba.networks"


class _Named(NamedTuple):
    """What a name stands for: a class, and the settings that differ from its configuration's defaults."""

    network: type[Harmonizer]
    settings: Mapping[str, Any]


_named: dict[str, _Named] = {}


def network(
    name: str, *, sizes: Mapping[str, Mapping[str, Any]] = _NO_SIZES, **settings: Any
) -> Callable[[type[H]], type[H]]:
    """Register a subclass of `Harmonizer` as the architecture `name`, built with `settings`.

    sizes: further names of the same architecture, each with its settings.
    Raises ValueError if a name is taken.
    """

    def register(cls: type[H]) -> type[H]:
        named = {name: settings, **sizes}
        if taken := named.keys() & _named.keys():
            raise ValueError(f'Two networks are called "{min(taken)}".')
        cls.architecture = name
        _named.update({each: _Named(cls, differing) for each, differing in named.items()})
        return cls

    return register


def names(architecture: str = "") -> tuple[str, ...]:
    """The names of all networks, or of the sizes of one architecture, in alphabetical order."""
    found = _all().items()
    return tuple(sorted(n for n, each in found if architecture in ("", each.network.architecture)))


def class_of(name: str) -> type[Harmonizer]:
    """The class of the network called `name`. Raises UnknownModel."""
    return _find(name).network


def settings_of(name: str) -> tuple[str, ...]:
    """The names of the settings that `build(name, ...)` takes. Raises UnknownModel."""
    return tuple(field.name for field in dataclasses.fields(class_of(name).Config))


def build(name: str, **config: Any) -> Harmonizer:
    """A harmonizer with fresh weights, in training mode.

    name: one of `names()`. config: settings that differ from what the name stands for. Raises UnknownModel,
    and TypeError for a setting that the network does not have.
    """
    cls, settings = _find(name)
    if unknown := config.keys() - settings_of(name):
        raise TypeError(f"{cls.__name__} has no setting {', '.join(sorted(unknown))}.")
    values = {**settings, **config}
    return cls(cls.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}))


def _find(name: str) -> _Named:
    if name not in _all():
        raise UnknownModel(f'No network is called "{name}": choose one of {", ".join(names())}.')
    return _named[name]


@cache
def _all() -> Mapping[str, _Named]:
    """What all modules of the package have registered."""
    for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__):
        importlib.import_module(f"{_PACKAGE}.{module.name}")
    return _named
