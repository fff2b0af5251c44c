"""What choosing by eye is worth: the best of a network's answers, by PSNR against the real picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glihamba.networks.base import Answers, Harmonizer
from glihamba.networks.colour_transform import ColourTransform


class Asked:
    """A network's answers, which it is asked for once for each picture, though each is scored by itself."""

    def __init__(self, network: Harmonizer) -> None:
        self.network = network
        self._last: tuple[Tensor, Tensor, Answers] | None = None

    def __call__(self, composite: Tensor, mask: Tensor) -> Answers:
        """As `Harmonizer.answers`."""
        last = self._last
        if last is None or not (torch.equal(last[0], composite) and torch.equal(last[1], mask)):
            last = self._last = composite, mask, self.network.answers(composite, mask)
        return last[2]


class OneAnswer(Harmonizer):
    """A network of several answers that gives one of them. number: 0 is the best single guess."""

    def __init__(self, network: Harmonizer, number: int, asked: Asked) -> None:
        super().__init__()
        self.network, self.number, self.asked = network, number, asked
        self.working_size = network.working_size

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """See `Harmonizer.forward`."""
        return mask * self.colour_transform(composite, mask).apply(composite) + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The answer of that number."""
        return self.asked(composite, mask).transforms[self.number]

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        """That answer alone."""
        found = self.asked(composite, mask)
        return Answers([found.transforms[self.number]], found.odds[:, self.number, None])


@dataclass(frozen=True)
class BestOf:
    """Several methods, of which the one with the highest PSNR counts, picture by picture."""

    each: tuple[Harmonizer, ...]


def best_of(network: Harmonizer) -> BestOf | None:
    """All answers of a network that has several."""
    count, asked = getattr(network.config, "answers", 1), Asked(network)
    return BestOf(tuple(OneAnswer(network, number, asked) for number in range(count))) if count > 1 else None
