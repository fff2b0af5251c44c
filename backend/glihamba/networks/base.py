"""What every harmonizer is, whatever its network paints."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from glihamba.networks.colour_transform import GRID_SHAPE, ColourTransform


class Harmonizer(nn.Module):
    """A network that recolours the masked object of a composite to fit its scene.

    `working_size` is the side, in pixels, of the square it was trained for; other sizes work too.
    `networks.build(architecture, **asdict(config))` builds the network again; `Config` is the dataclass of
    its settings; `paper` says where it comes from. A method without weights has none of these.
    """

    working_size: int = 256
    architecture: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    Config: ClassVar[type | None] = None
    config: Any = None

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """The harmonized picture, (B,3,H,W) in [0,1].

        composite: (B,3,H,W) sRGB-encoded in [0,1]; mask: (B,1,H,W), the object's coverage in [0,1].
        Blended as Eq. 7 of GLIHamba: mask * prediction + (1 - mask) * composite.
        """
        raise NotImplementedError

    def colour_transform(self, composite: Tensor, mask: Tensor) -> ColourTransform:
        """What is carried to full size: the colour transform nearest to what `forward` paints.

        Same arguments as `forward`. Networks that predict a transform override this and return it as it is.
        """
        harmonized = self(composite, mask)
        # Eq. 7 leaves mask * correction in the picture: weighing (correction) by mask² is the least
        # squares fit of the blended picture, and keeps the division harmless at the soft edge.
        correction = (harmonized - composite) / mask.clamp_min(1e-3)
        weight = mask.square() * (mask > 1e-3)
        return ColourTransform.fit(composite, composite + correction, weight, GRID_SHAPE)
