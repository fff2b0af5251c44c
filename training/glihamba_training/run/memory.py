"""Training the head alone: what the rest of the network has read of a composite is kept, and met again.

The rest of the network costs nearly all of a step, and does not change. So a step reads a few new composites,
and trains the head on many that it has read before.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.networks.base import Answers, Harmonizer
from glihamba.networks.colour_transform import ColourTransform
from glihamba.networks.transform_head import Description, TransformHead
from glihamba_training.run.recipe import Recipe, RecipeError
from glihamba_training.synthesis.batch import Batch

_SIDE = 40  # pixels: the kept pictures are for the loss alone


class Reading(Protocol):
    """A network whose head guesses from a `Description`."""

    head: TransformHead

    def read(self, composite: Tensor, mask: Tensor) -> Description: ...


class Memory:
    """The last composites of a training: what was read of them in half precision, the pictures in 8 bits.

    size: how many are kept; the oldest are forgotten. recalled: how many a step trains on.
    """

    def __init__(self, size: int, recalled: int) -> None:
        self.size, self.recalled, self.filled, self._next = size, recalled, 0, 0
        self._kept: dict[str, Tensor] = {}

    def __deepcopy__(self, memo: Any) -> Memory:
        return self  # the averages are a copy of the task, and read nothing

    def after(self, network: Reading, batch: Batch) -> tuple[Harmonizer, Batch]:
        """Keep new composites. Returns some of all, at random, with the network as it answers to them."""
        with torch.no_grad():
            read = network.read(batch.composite, batch.mask)
        new = {name: value.half() for name, value in read._asdict().items()}
        for name, plane in batch._asdict().items():
            small = F.interpolate(plane, (_SIDE, _SIDE), mode="bilinear", antialias=True)
            new[name] = (small * 255).round().clamp(0, 255).byte()
        if not self._kept:
            self._kept = {name: value.new_empty(self.size, *value.shape[1:]) for name, value in new.items()}
        places = (self._next + torch.arange(len(batch.mask))) % self.size
        for name, value in new.items():
            self._kept[name][places] = value
        self._next = (self._next + len(places)) % self.size
        self.filled = min(self.size, self.filled + len(places))
        chosen = torch.randint(self.filled, (self.recalled,))
        kept = {name: value[chosen].float() for name, value in self._kept.items()}
        pictures = Batch(*(kept[name] / 255 for name in Batch._fields))
        return Recalled(network.head, Description(*(kept[name] for name in Description._fields))), pictures


class Recalled(Harmonizer):
    """A network that has read its pictures already."""

    def __init__(self, head: TransformHead, read: Description) -> None:
        super().__init__()
        self.head, self.kept = head, read

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        return mask * self.colour_transform(composite, mask).apply(composite) + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        return self.answers(composite, mask).transforms[0]

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        return self.head.answer(self.kept)


def memory_of(recipe: Recipe, network: Harmonizer) -> Memory | None:
    """An empty memory, if the recipe wants one; raises RecipeError for a network that can't be read apart."""
    if not recipe.memory:
        return None
    if not isinstance(getattr(network, "head", None), TransformHead):
        raise RecipeError(
            f'With "memory" a network needs a head for colour transforms: {recipe.model} has none.'
        )
    return Memory(recipe.memory, recipe.recalled)
