"""The layout of SS2D's tensors and the order in which its four directions read a picture.

Image order, channels last, no materialised cross-scan: every scan in this package has these shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

DIRECTIONS = 4
"""By rows, by columns, and both reversed (VMamba's SS2D; Sun, Yao, Ban 2024, Eq. 6)."""


class ScanInputs(NamedTuple):
    """All that one scan reads, for a batch of B pictures of L = height * width tokens.

    x            (B, L, D)       features, row-major
    dt_low_rank  (B, L, K, R)    step size before its projection, K = 4 directions
    dt_weight    (K, D, R)       projection of the step size
    dt_bias      (K, D)
    B, C         (B, L, K, N)    input and output matrices, N the state dimension
    A            (K, D, N)       negative
    D            (K, D)          skip
    h0           (B, K, D, N)    initial state of every direction, or None for zeros

    The result y, (B, L, D), is the sum over the four directions. Discretisation: A-bar = exp(dt A),
    B-bar = dt B, as in Mamba's own selective scan.
    """

    x: Tensor
    dt_low_rank: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    B: Tensor
    C: Tensor
    A: Tensor
    D: Tensor
    height: int
    width: int
    h0: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """The eight tensors, and h0 if there is one."""
        return [value for value in self if isinstance(value, Tensor)]

    def map(self, change: Callable[[Tensor], Tensor]) -> ScanInputs:
        """The same scan with every tensor changed."""
        changed: dict[str, Any] = {
            name: change(t) for name, t in self._asdict().items() if isinstance(t, Tensor)
        }
        return self._replace(**changed)


Scan = Callable[[ScanInputs], Tensor]
"""SS2D: the inputs -> y, (B, L, D), in x's dtype."""


@cache
def scan_orders(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Image index at each scan step, and scan step at each image index: two (K, L) int64 tensors."""
    with torch.inference_mode(False):  # the first caller may be inferring, the next may need a gradient
        image = torch.arange(height * width, device=device)
        columns = image.view(height, width).t().reshape(-1)
        orders = torch.stack([image, columns, image.flip(0), columns.flip(0)])
        return orders, orders.argsort(dim=1)
