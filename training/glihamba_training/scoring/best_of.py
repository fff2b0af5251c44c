"""What choosing by eye is worth: the best of a network's answers, by PSNR against the real picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from glihamba.networks.base import Answers, Harmonizer
from glihamba.networks.colour_transform import ColourTransform


class OneAnswer(Harmonizer):
    """A network of several answers that gives one of them. number: 0 is the best single guess."""

    def __init__(self, network: Harmonizer, number: int) -> None:
        super().__init__()
        self.network, self.number = network, number
        self.working_size = network.working_size

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """See `Harmonizer.forward`."""
        return mask * self.colour_transform(composite, mask).apply(composite) + (1 - mask) * composite

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The answer of that number."""
        return self.network.answers(composite, mask).transforms[self.number]

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        """That answer alone."""
        found = self.network.answers(composite, mask)
        return Answers([found.transforms[self.number]], found.odds[:, self.number, None])


@dataclass(frozen=True)
class BestOf:
    """Several methods, of which the one with the highest PSNR counts, picture by picture."""

    each: tuple[Harmonizer, ...]


def best_of(network: Harmonizer) -> BestOf | None:
    """All answers of a network that has several."""
    count = getattr(network.config, "answers", 1)
    return BestOf(tuple(OneAnswer(network, number) for number in range(count))) if count > 1 else None
