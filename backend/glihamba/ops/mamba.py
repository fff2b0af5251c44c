"""mamba-ssm's compiled scan as SS2D: the published way, with the cross-scan and the merge as copies.

Optional: it is chosen only by `gpu.use("mamba")`. An installed mamba-ssm may lack its kernel, so the kernel
is imported and tested before it is used (see `require`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.ops.layout import DIRECTIONS, ScanInputs, scan_orders
from glihamba.ops.selftest import ScanUnusable, first_line, self_test

MODULE = "selective_scan_cuda"


@cache
def _module() -> Any:
    """The compiled scan. Raises ScanUnusable."""
    import importlib

    try:
        return importlib.import_module(MODULE)  # torch is loaded: without it the import fails
    except (ImportError, OSError) as error:
        raise ScanUnusable(
            f"mamba-ssm's compiled scan cannot be loaded ({first_line(error)}); install mamba-ssm with its"
            " CUDA kernels for this torch, or leave the scan to Triton."
        ) from error


@cache
def require(device: torch.device | None = None) -> None:
    """Load the compiled scan and test it on a small picture. Raises ScanUnusable."""
    _module()
    try:
        self_test(ss2d_mamba, device or torch.device("cuda"))
    except Exception as error:
        raise ScanUnusable(
            f"mamba-ssm's compiled scan is there but does not work ({first_line(error)}); leave the scan to"
            " Triton."
        ) from error


def ss2d_mamba(inputs: ScanInputs) -> Tensor:
    """SS2D. Returns x's dtype. Differentiable in every tensor."""
    x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0 = inputs
    channels = x.shape[2]
    orders, inverse = scan_orders(height, width, x.device)
    image = x.transpose(1, 2)
    u = torch.stack([image[:, :, order] for order in orders], 1)  # (B, K, D, L)
    low = _in_order(dt_low_rank, orders).to(x.dtype)
    delta = torch.einsum("bkrl,kdr->bkdl", low, dt_weight.to(x.dtype)).contiguous()
    B, C = (_in_order(t, orders).to(x.dtype) for t in (B, C))
    y = _SelectiveScan.apply(
        u.flatten(1, 2),
        delta.flatten(1, 2),
        A.float().flatten(0, 1).contiguous(),
        B,
        C,
        D.float().flatten().contiguous(),
        dt_bias.float().flatten().contiguous(),
    ).unflatten(1, (DIRECTIONS, channels))
    if h0 is not None:
        y = y + _of_start(delta.float() + dt_bias.float()[:, :, None], C.float(), A.float(), h0.float())
    merged = sum((y[:, k][:, :, inverse[k]] for k in range(DIRECTIONS)), start=torch.zeros_like(image))
    return merged.transpose(1, 2).to(x.dtype).contiguous()


def _in_order(t: Tensor, orders: Tensor) -> Tensor:
    """(B, L, K, M) to (B, K, M, L), each direction in its own order."""
    by_direction = t.permute(2, 0, 3, 1)
    return torch.stack([by_direction[k][:, :, order] for k, order in enumerate(orders)], 1).contiguous()


def _of_start(z: Tensor, C: Tensor, A: Tensor, h0: Tensor) -> Tensor:
    """What the initial state adds, sum_n C_t exp(A S_t) h0. The compiled scan always starts from zero."""
    elapsed = F.softplus(z).cumsum(-1)
    terms = (
        torch.exp(A[..., n, None] * elapsed) * h0[..., n, None] * C[:, :, None, n] for n in range(A.shape[-1])
    )
    return sum(terms, start=torch.zeros_like(elapsed))


class _SelectiveScan(torch.autograd.Function):
    """u, delta (B, K D, L), A (K D, N), B, C (B, K, N, L), D and the step's bias (K D) -> (B, K D, L)."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor
    ) -> Tensor:
        y, states, *_ = _module().fwd(u, delta, A, B, C, D, None, bias, True)
        ctx.save_for_backward(u, delta, A, B, C, D, bias, states)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        u, delta, A, B, C, D, bias, states = ctx.saved_tensors
        du, ddelta, dA, dB, dC, dD, dbias, *_ = _module().bwd(
            u, delta, A, B, C, D, None, bias, dy.contiguous(), states, None, None, True, False
        )
        return du, ddelta, dA, dB.to(B.dtype), dC.to(C.dtype), dD, dbias
