"""The slow, readable twin of every SS2D kernel: the oracle when run in float64.

Shapes, here and in every kernel (image order, channels last, no materialised cross-scan):

    x            (B, L, D)       features, L = H * W, row-major
    dt_low_rank  (B, L, K, R)    step size before its projection, K = 4 directions
    dt_weight    (K, D, R)       projection of the step size
    dt_bias      (K, D)
    B, C         (B, L, K, N)    input and output matrices, N the state dimension
    A            (K, D, N)       negative
    D            (K, D)          skip
    h0           (B, K, D, N)    initial state of every direction, or None for zeros
    y            (B, L, D)       sum over the four directions

Directions 0..3 read the image by rows, by columns, and by both reversed (VMamba's SS2D; paper 000,
Eq. 6). Discretisation: A-bar = exp(dt A), B-bar = dt B, as in Mamba's own selective scan.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = 4


@cache
def scan_orders(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Image index at each scan step, and scan step at each image index: two (K, L) int64 tensors."""
    with torch.inference_mode(False):  # whoever asks first may be inferring, the next may need a gradient
        image = torch.arange(height * width, device=device)
        columns = image.view(height, width).t().reshape(-1)
        orders = torch.stack([image, columns, image.flip(0), columns.flip(0)])
        return orders, orders.argsort(dim=1)


def ss2d_reference(
    x: Tensor,
    dt_low_rank: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    height: int,
    width: int,
    h0: Tensor | None = None,
) -> Tensor:
    """SS2D step by step, in the dtype of its inputs; autograd gives its backward. Shapes above.

    The inner loop is mamba-ssm's published `selective_scan_ref`, all directions at once.
    """
    orders, inverse = scan_orders(height, width, x.device)
    batch, length, channels = x.shape
    h = x.new_zeros(batch, DIRECTIONS, channels, A.shape[-1]) if h0 is None else h0
    dt = F.softplus(torch.einsum("blkr,kdr->blkd", dt_low_rank, dt_weight) + dt_bias)
    direction = torch.arange(DIRECTIONS, device=x.device)
    outputs = []
    for step in range(length):
        at = orders[:, step]
        x_t = x[:, at]
        dt_t, B_t, C_t = dt[:, at, direction], B[:, at, direction], C[:, at, direction]
        h = torch.exp(dt_t[..., None] * A) * h + (dt_t * x_t)[..., None] * B_t[:, :, None]
        outputs.append(torch.einsum("bkdn,bkn->bkd", h, C_t) + x_t * D)
    y = torch.stack(outputs, dim=1)
    return sum((y[:, inverse[k], k] for k in range(DIRECTIONS)), start=torch.zeros_like(x))


def final_state_reference(
    x: Tensor,
    dt_low_rank: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    B: Tensor,
    A: Tensor,
) -> Tensor:
    """State (B, K, D, N) that every direction is in after reading the L tokens in their given order."""
    dt = F.softplus(torch.einsum("blkr,kdr->blkd", dt_low_rank, dt_weight) + dt_bias)
    h = x.new_zeros(x.shape[0], DIRECTIONS, x.shape[2], A.shape[-1])
    for step in range(x.shape[1]):
        dt_t = dt[:, step]
        u_t = dt_t * x[:, step, None]
        h = torch.exp(dt_t[..., None] * A) * h + u_t[..., None] * B[:, step, :, None]
    return h
