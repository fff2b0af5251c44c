"""What every harmonizer is, whatever its network paints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from glihamba.networks.colour_transform import GRID_SHAPE, ColourTransform


class Answers(NamedTuple):
    """A network's guesses for a batch.

    transforms: the best single guess first. odds: (B,K), the logarithm of each one's odds of being the
    nearest to the truth, but for a constant.
    """

    transforms: list[ColourTransform]
    odds: Tensor


class Harmonizer(nn.Module):
    """A network that recolours the masked object of a composite to fit its scene.

    A subclass is registered by `@network` (`glihamba.networks.architectures`), is built from a `Config` and
    keeps it: `networks.build(architecture, **asdict(config))` builds the same network again.

    working_size: side, in pixels, of the square that the network was trained for; other sizes work too.
    architecture: the registered name. paper: title, authors and year. Config: the dataclass of its settings.
    before: settings that a record without them implies: it was written before they existed.
    losses: names of the training losses that only this network offers. trainable: False for a method without
    weights.
    """

    working_size: int = 256
    architecture: ClassVar[str]
    paper: ClassVar[str]
    Config: ClassVar[type[Any]]
    before: ClassVar[Mapping[str, Any]] = {}
    losses: ClassVar[tuple[str, ...]] = ()
    trainable: ClassVar[bool] = True
    config: Any

    @classmethod
    def from_published(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights by this network's names from those of its authors' public code.

        Raises NotImplementedError for a network without such code, and KeyError for other weights.
        """
        raise NotImplementedError

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """The harmonized picture, (B,3,H,W) in [0,1].

        composite: (B,3,H,W) sRGB-encoded in [0,1]; mask: (B,1,H,W), the object's coverage in [0,1].
        Blended as Eq. 7 of GLIHamba: mask * prediction + (1 - mask) * composite.
        """
        raise NotImplementedError

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """The correction that is applied at full size: the colour transform nearest to what `forward` paints.

        The arguments are those of `forward`. A network that predicts a transform overrides this method.
        """
        harmonized = self(composite, mask)
        # Eq. 7 leaves mask * correction in the picture. Weighting the correction by mask² is the least
        # squares fit of the blended picture, and keeps the division harmless at a soft edge.
        correction = (harmonized - composite) / mask.clamp_min(1e-3)
        weight = mask.square() * (mask > 1e-3)
        return ColourTransform.fit(composite, composite + correction, weight, GRID_SHAPE)

    def answers(self, composite: Tensor, mask: Tensor) -> Answers:
        """All guesses: `colour_transform` alone, unless a network has several."""
        return Answers([self.colour_transform(composite, mask)], torch.zeros_like(composite[:, :1, 0, 0]))
