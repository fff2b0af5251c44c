"""A network with given weights: every one and no other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glihamba.errors import ModelDamaged
from glihamba.models.registry import Record

if TYPE_CHECKING:  # torch is imported by whoever fills, not by whoever lists
    from torch import Tensor, nn

    from glihamba.networks.base import Harmonizer


LARGEST, MOST = 65_536, 500  # of the numbers in a network's settings


class WeightsDoNotFit(ValueError):
    """Weights of another network; `str(error)` is the first reason, in at most 120 characters."""


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the network all the weights. Raises WeightsDoNotFit."""
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsDoNotFit(textwrap.shorten(first.rstrip(". "), 120, placeholder=" …")) from error


def check_sizes(record: Record, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelDamaged unless the record's network has weights of exactly these names and shapes.

    The network is built without memory for its weights, and no further than the file has weights for, so that
    a record of a stranger's cannot ask for gigabytes or for a million layers.
    """
    import torch
    from torch.nn.modules import module

    from glihamba.networks import build

    _check_config(record)
    modules = 0

    def count(*_: object) -> None:
        nonlocal modules
        modules += 1
        if modules > 1_000 + 10 * len(shapes):
            raise WeightsDoNotFit("it has more layers than the file has weights for")

    watch = module.register_module_module_registration_hook(count)
    try:
        with torch.device("meta"):
            wanted = {
                key: tuple(value.shape)
                for key, value in build(record.architecture, **record.config).state_dict().items()
            }
    except WeightsDoNotFit as error:
        raise _of_another_network(record, error) from None
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        raise _unknown_record(record, error) from None
    finally:
        watch.remove()
    for key in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(key) != shapes.get(key):
            there, needed = (each.get(key, "absent") for each in (shapes, wanted))
            why = textwrap.shorten(f"{key} is {there}, and should be {needed}", 120, placeholder=" …")
            raise _of_another_network(record, WeightsDoNotFit(why))


def _check_config(record: Record) -> None:
    """Raise ModelDamaged for settings that no network has: they might cost hours before anything is built."""
    numbers: list[Any] = [record.config]
    count = 0
    while numbers:
        value, count = numbers.pop(), count + 1
        if isinstance(value, Mapping):
            numbers += value.values()
        elif isinstance(value, list | tuple):
            numbers += value
        elif (isinstance(value, int | float) and abs(value) > LARGEST) or count > MOST:
            raise _unknown_record(record, "its settings are larger than any network's")


def network_of(record: Record, weights: Mapping[str, Tensor]) -> Harmonizer:
    """The record's network with `weights`, in eval mode. Raises UnknownModel, ModelDamaged."""
    from glihamba.networks import build, class_of

    try:
        implied = class_of(record.architecture).before if record.config else {}
        network = build(record.architecture, **{**implied, **record.config})
    except TypeError as error:
        raise _unknown_record(record, error) from None
    try:
        fill(network, weights)
    except WeightsDoNotFit as error:
        raise _of_another_network(record, error) from None
    return network.eval()


def _unknown_record(record: Record, why: object) -> ModelDamaged:
    return ModelDamaged(
        f"The record of '{record.name}' does not fit this GLIHamba ({textwrap.shorten(str(why), 120)})."
        " Update GLIHamba, or remove the model.",
        case="DOES_NOT_FIT",
        model=record.name,
    )


def _of_another_network(record: Record, why: WeightsDoNotFit) -> ModelDamaged:
    return ModelDamaged(
        f"The weights of '{record.name}' do not fit the network '{record.architecture}'"
        f" ({why}). Add a file made for it, or name the right architecture.",
        case="DOES_NOT_FIT",
        model=record.name,
    )
