"""What a network says of an object, apart from its picture: it can be kept, sent, and applied again.

PyTorch is not imported here, so that the daemon starts without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from glihamba.pipeline.colour import Floats


@dataclass(frozen=True)
class Prediction:
    """A colour transform with its place in the composite.

    base: (3,10) and grid: (3,4,gh,gw), as in `glihamba.networks.colour_transform`. window: (top, left,
    bottom, right) in fractions of the composite's height and width. mean: (3,), the object's mean colour,
    sRGB-encoded.
    """

    base: Floats
    grid: Floats
    window: tuple[float, float, float, float]
    mean: Floats


@dataclass(frozen=True)
class Amounts:
    """How much of each part of a correction is applied: -1 (its opposite) to 2 (twice); 1 is as predicted.

    `glihamba.pipeline.amounts` defines the parts.
    """

    light: float = 1.0
    warmth: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    local: float = 1.0


AS_PREDICTED = Amounts()


@dataclass(frozen=True)
class Variant:
    """One of the corrections that a person can choose from; the first of several is the best single guess.

    kind: "model", an answer of the network; "statistics", that of colour statistics; or "stronger", the
    first one at a higher strength. strength: to apply it with. probability: of being the nearest to the
    truth of the network's answers, 0 if nothing says so. apart: levels of 255 by which it differs from
    the first over the object, root mean square; where the network's own answers lie close together, it is
    sure. parts: a (base, grid) for each field of `Amounts`, what it adds to a colour; base and grid as in
    `Prediction`, their sums the prediction less the identity.
    """

    kind: str
    prediction: Prediction
    strength: float
    probability: float
    apart: float
    parts: tuple[tuple[Floats, Floats], ...]
