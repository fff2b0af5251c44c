"""SS2D on the CPU: numba kernels over eight channels at a time, forward and backward.

The four directions are index arithmetic: nothing is gathered, and their outputs are summed in place.
States live in the first-level cache. Backward recomputes them direction by direction, so that only the
inputs are kept for it. Threads share the work by picture and channel block; each result has one writer
and one order of summation, so equal inputs give equal bits.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.ops import cpu_kernels
from glihamba.ops.cpu_kernels import LANES
from glihamba.ops.reference import DIRECTIONS, scan_orders

LOG2E = 1.4426950408889634


def ss2d_cpu(
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
    """SS2D in float32; shapes as in `glihamba.ops.reference`. Returns x's dtype."""
    channels = x.shape[-1]
    features = x.float()
    dt = step_sizes(dt_low_rank.float(), dt_weight.float(), dt_bias.float())
    start = (
        x.new_zeros(len(x), DIRECTIONS, channels, A.shape[-1], dtype=torch.float32)
        if h0 is None
        else h0.float()
    )
    padding = -channels % LANES
    scanned = _Scan.apply(
        F.pad(features, (0, padding)),
        F.pad(dt, (0, padding)),
        B.float(),
        C.float(),
        F.pad(A.float().transpose(1, 2), (0, padding)),
        F.pad(start.transpose(2, 3), (0, padding)),
        height,
        width,
    )
    return (scanned[..., :channels] + features * D.float().sum(0)).to(x.dtype)


def step_sizes(low_rank: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """softplus of the projected steps, (B, L, K, R), (K, D, R), (K, D) -> (B, L, K, D), contiguous.

    One product with a block-diagonal matrix: the ranks are so small that its zeros cost less than four
    products and the copies between them.
    """
    projected = F.linear(low_rank.flatten(2), torch.block_diag(*weight.unbind(0)), bias.flatten())
    return F.softplus(projected).unflatten(-1, bias.shape)


class _Scan(torch.autograd.Function):
    """x (B,L,D), dt (B,L,K,D), B, C (B,L,K,N), A (K,N,D), h0 (B,K,N,D) -> y (B,L,D); D divisible by LANES."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        tensors, (height, width) = [t.contiguous() for t in args[:6]], args[6:]
        ctx.save_for_backward(*tensors)
        ctx.size = height, width
        x, N, orders = tensors[0], tensors[2].shape[-1], _flat_orders(height, width)
        y = torch.empty_like(x)
        tasks = x.shape[0] * (x.shape[2] // LANES)
        flat = [_flat(t) for t in (*tensors[:4], tensors[4] * LOG2E, tensors[5], y)]
        _share(tasks, cpu_kernels.forward, [*flat, orders, *x.shape[1:], N])
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, B, C, A, h0 = ctx.saved_tensors
        orders = _flat_orders(*ctx.size)
        gradients = [torch.empty_like(t) for t in (x, dt, B, C)]
        dA, dh0 = x.new_zeros(x.shape[0], *A.shape), torch.empty_like(h0)
        tensors = (x, dt, B, C, A * LOG2E, A, h0, dy.contiguous(), *gradients, dA, dh0)
        flat = [_flat(t) for t in tensors]
        N = B.shape[-1]
        _share(x.shape[0], cpu_kernels.backward, [*flat, orders, *x.shape[1:], N])
        return (*gradients, dA.sum(0), dh0, None, None)


def _flat(t: Tensor) -> np.ndarray:
    return t.detach().contiguous().view(-1).numpy()


@cache
def _flat_orders(height: int, width: int) -> np.ndarray:
    """Pixel at each step of each direction, (K * L,): dividing in the kernel would cost as the scan."""
    return scan_orders(height, width)[0].reshape(-1).numpy()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ss2d")


def _share(tasks: int, kernel: Callable[..., None], arguments: list[Any]) -> None:
    """Runs kernel(*arguments, first, last) over all tasks, on as many threads as torch was given."""
    threads = min(torch.get_num_threads(), tasks)
    if threads <= 1:
        kernel(*arguments, 0, tasks)
        return
    bounds = [round(i * tasks / threads) for i in range(threads + 1)]
    for done in [_pool(threads).submit(kernel, *arguments, *pair) for pair in pairwise(bounds)]:
        done.result()
