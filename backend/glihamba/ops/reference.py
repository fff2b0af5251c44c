"""The slow, readable twin of every SS2D kernel: the oracle when run in float64. Shapes: `ops.layout`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.ops.layout import DIRECTIONS, ScanInputs, scan_orders


def ss2d_reference(inputs: ScanInputs) -> Tensor:
    """SS2D step by step, in the dtype of its inputs; autograd gives its backward.

    The inner loop is mamba-ssm's published `selective_scan_ref`, all directions at once.
    """
    x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0 = inputs
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
