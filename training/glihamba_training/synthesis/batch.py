"""What a training step is given."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """composite, real (B,3,H,W) and mask (B,1,H,W), all in [0,1]. The network is given this mask."""

    composite: Tensor
    mask: Tensor
    real: Tensor
