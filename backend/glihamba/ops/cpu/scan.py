"""SS2D on the CPU: numba kernels over blocks of channels, forward and backward.

The four directions are index arithmetic: nothing is gathered, and their outputs are summed in place; the
projection of the step sizes, softplus and the skip are part of the scan. For the backward only the states
before every 32nd step are kept. Threads share the work by picture and channel block; each result has one
writer and one order of summation, so equal inputs give equal bits, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import llvmlite.binding
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.compiled import kept
from glihamba.ops.cpu import kernels as cpu_kernels
from glihamba.ops.cpu.kernels import CHUNK
from glihamba.ops.cpu.threads import share
from glihamba.ops.layout import DIRECTIONS, ScanInputs, scan_orders

LOG2E = 1.4426950408889634
STATES = (1, 2, 4, 8, 16)  # that kernels exist for; other numbers are padded, larger ones split
GROUPS = 16  # of pictures, at most: each has its own sums of the parameters' gradients
WORTH_A_THREAD = 1 << 19  # scan steps x channels x states: about 0.1 ms


def _lanes() -> int:
    """Floats in one of this processor's vector registers."""
    features = llvmlite.binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


LANES = _lanes()
WIDE = 4 * LANES  # four registers a block share what all channels need; the rest takes two or one


def ss2d_cpu(inputs: ScanInputs) -> Tensor:
    """SS2D in float32. Returns x's dtype. Differentiable in every tensor."""
    x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0 = inputs
    shared = [t.float() for t in (x, dt_low_rank, dt_weight, dt_bias)]
    order = _flat_orders(height, width)
    y, skip = None, D.float()
    for some in _slices(A.shape[-1]):
        states = _padded_states((B, C, A) if h0 is None else (B, C, A, h0), some)
        part, _ = _scan(*shared, *states[:3], skip, order, *states[3:])
        y, skip = (part if y is None else y + part), torch.zeros_like(skip)
    assert y is not None
    return y.to(x.dtype)


def final_state_cpu(
    x: Tensor, dt_low_rank: Tensor, dt_weight: Tensor, dt_bias: Tensor, B: Tensor, A: Tensor
) -> Tensor:
    """State (B, K, D, N) that every direction is in after the L tokens of x in their order, float32."""
    shared = [t.float() for t in (x, dt_low_rank, dt_weight, dt_bias)]
    order, skip = _same_order(x.shape[1]), torch.zeros_like(shared[3])
    ends = []
    for some in _slices(A.shape[-1]):
        B_, A_ = _padded_states((B, A), some)
        end = _scan(*shared, B_, B_.detach(), A_, skip, order)[1]
        ends.append(end[..., : A[..., some].shape[-1]])
    return ends[0] if len(ends) == 1 else torch.cat(ends, -1)


def _slices(N: int) -> list[slice]:
    """N states in as few runs as the kernels allow. States are independent of each other."""
    return [slice(first, first + STATES[-1]) for first in range(0, N, STATES[-1])]


def _padded_states(tensors: Sequence[Tensor], some: slice) -> list[Tensor]:
    """The chosen states of tensors (..., N), padded with zeros to a number that a kernel exists for."""
    chosen = [t[..., some].float() for t in tensors]
    missing = min(n for n in STATES if n >= chosen[0].shape[-1]) - chosen[0].shape[-1]
    return [F.pad(t, (0, missing)) for t in chosen] if missing else chosen


def _scan(*given: Any) -> tuple[Tensor, Tensor]:
    """`_Scan`, told whether a backward can follow. Within an autograd function nothing says so."""
    keep = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in given)
    return _Scan.apply(keep, *given)


class _Scan(torch.autograd.Function):
    """keep, x, low-rank steps, their weight and bias, B, C, A, D, order[, h0], float32, N one of STATES.

    Shapes as in `glihamba.ops.layout`, order as in `_flat_orders`. Returns y and the states (B, K, D, N)
    after the last step.
    """

    @staticmethod
    def forward(ctx: Any, keep: bool, x: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
        (low, weight, bias, B, C, A, D, order), h0 = args[:8], (*args[8:], None)[0]
        batch, L, channels = x.shape
        N, R, P = A.shape[-1], weight.shape[-1], -(-channels // LANES) * LANES
        x, rows = x.contiguous(), [_in_rows(t) for t in (low, B, C)]
        weight_, A_ = (_padded(t.transpose(1, 2), P) for t in (weight, A))
        start = x.new_zeros(batch, DIRECTIONS, N, P) if h0 is None else _padded(h0.transpose(2, 3), P)
        saved = x.new_empty(batch, DIRECTIONS, -(-L // CHUNK), N, P) if keep else x.new_empty(0)
        kept = [x, rows[0], weight_, _padded(bias, P), *rows[1:], A_ * LOG2E, _padded(D.sum(0), P)]
        y, end = torch.empty_like(x), torch.empty_like(start)
        strides = [s for t in rows for s in t.stride()[1:3]]
        arrays = [*(_flat(t) for t in (*kept, start)), order, *(_flat(t) for t in (y, end, saved))]
        sizes = (L, channels, P, R, *strides, int(keep))

        def run(first: int, last: int) -> None:
            scratch = _flat(torch.empty(cpu_kernels.forward_scratch(WIDE)))
            for b0, b1, d0, d1 in _rectangles(first, last, P // LANES):
                for lanes, c0, c1 in _by_width(d0 * LANES, d1 * LANES, WIDE):
                    _compiled("forward", N, lanes)(*arrays, scratch, sizes, b0, b1, c0, c1)

        _share(batch * P // LANES, L * DIRECTIONS * N * LANES, run)
        ctx.save_for_backward(*kept, saved)
        ctx.set_materialize_grads(False)
        ctx.order, ctx.h0, ctx.strides = order, h0 is not None, strides
        return y, end[..., :channels].transpose(2, 3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dend: Tensor | None) -> tuple[Tensor | None, ...]:
        x, _, weight, bias, B, _, rates, skip, _ = kept = ctx.saved_tensors
        (batch, L, channels), (R, P), N, K = x.shape, weight.shape[1:], B.shape[-1], DIRECTIONS
        groups, parts = min(batch, GROUPS), 1 if batch >= 2 * K else K  # never by threads: bits would differ
        dy = torch.zeros_like(x) if dy is None else dy.contiguous()
        dend = x.new_zeros(batch, K, N, P) if dend is None else _padded(dend.transpose(2, 3), P)
        dx, selected = x.new_empty(parts, *x.shape), x.new_empty(batch, L, K, R + 2 * N)
        dh0 = torch.empty_like(dend)
        sums = [x.new_zeros(groups, *t.shape) for t in (weight, bias, rates, skip)]
        arrays = [*(_flat(t) for t in kept), ctx.order]
        arrays += [_flat(t) for t in (dy, dend, dx, selected, *sums, dh0)]
        sizes = (L, channels, P, R, *ctx.strides, batch, groups, parts)

        # Many states of wide blocks would not stay in the second-level cache between replay and retreat.
        for lanes, d0, d1 in _by_width(0, P, WIDE if N <= 2 else LANES):
            places = cpu_kernels.backward_places(N, R, lanes, LANES, d1 - d0)

            def run(first: int, last: int, d0=d0, d1=d1, lanes=lanes, places=places) -> None:
                scratch = _flat(torch.empty(places[-1]))
                _compiled("backward", N, lanes)(*arrays, scratch, places, sizes, first, last, d0, d1)

            _share(groups * parts, batch * L * (K // parts) * N * (d1 - d0) * 2 // groups, run)
        dweight, dbias, dA, dskip = (t.sum(0)[..., :channels] for t in sums)
        for part in dx[1:]:
            dx[0] += part
        return (
            None,
            dx[0],
            selected[..., :R],
            dweight.transpose(1, 2),
            dbias,
            selected[..., R : R + N],
            selected[..., R + N :],
            dA.transpose(1, 2),
            dskip.expand(K, -1),
            None,
            *([dh0[..., :channels].transpose(2, 3)] if ctx.h0 else []),
        )


def _flat(t: Tensor) -> np.ndarray:
    """The floats from a tensor's first to its last, as they lie in memory."""
    extent = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else 0
    return t.detach().as_strided((extent,), (1,)).numpy()


def _in_rows(t: Tensor) -> Tensor:
    """(B,L,K,n) as the kernels read it: pictures one after the other, n side by side; else a copy."""
    batch, L, _, n = t.shape
    fits = (batch == 1 or t.stride(0) == L * t.stride(1)) and (n == 1 or t.stride(3) == 1)
    return t if fits else t.contiguous()


def _padded(t: Tensor, channels: int) -> Tensor:
    return F.pad(t, (0, channels - t.shape[-1])).contiguous()


@lru_cache(64)
def _same_order(length: int) -> np.ndarray:
    """Tokens one after the other in every direction, (K * L,)."""
    return np.tile(np.arange(length, dtype=np.int32), DIRECTIONS)


@lru_cache(64)
def _flat_orders(height: int, width: int) -> np.ndarray:
    """Pixel at each step of each direction, (K * L,): dividing in the kernel would cost as the scan."""
    return scan_orders(height, width)[0].int().reshape(-1).numpy()


def _by_width(first: int, last: int, widest: int) -> Iterator[tuple[int, int, int]]:
    """Padded channels as lanes of the kernel to use, first and last: the widest blocks, then narrower."""
    for lanes in (WIDE, 2 * LANES, LANES):
        until = first + (last - first) // lanes * lanes if lanes <= widest else first
        if until > first:
            yield lanes, first, until
        first = until


def _rectangles(first: int, last: int, blocks: int) -> Iterator[tuple[int, int, int, int]]:
    """The run first..last of all (picture, block), as pictures and blocks, from and to."""
    while first < last:
        picture, block = divmod(first, blocks)
        if block == 0 and last - first >= blocks:
            pictures = (last - first) // blocks
            yield picture, picture + pictures, 0, blocks
            first += pictures * blocks
        else:
            end = min(blocks, block + last - first)
            yield picture, picture + 1, block, end
            first += end - block


@cache
def _compiled(kind: str, N: int, lanes: int) -> Callable[..., None]:
    """A kernel, compiled on first use and then kept on disk by numba."""
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz"},  # nothing that reorders: the range reduction of exp2 would break
    }
    if kind == "forward":
        function, signature = cpu_kernels.forward_kernel(N, lanes), cpu_kernels.FORWARD
    else:
        function, signature = cpu_kernels.backward_kernel(N, lanes, LANES), cpu_kernels.BACKWARD
    return kept(function, signature, **options)


def compile_forward() -> None:
    """Compile, or find compiled, the forward kernels for every number of states."""
    for N in STATES:
        for lanes in (LANES, 2 * LANES, WIDE):
            _compiled("forward", N, lanes)


def _share(tasks: int, cost: int, run: Callable[[int, int], None]) -> None:
    """run(first, last) over all tasks, on as many threads as torch was given and the work is worth."""
    threads = max(1, min(torch.get_num_threads(), tasks, tasks * cost // WORTH_A_THREAD))
    share(tasks, threads, run)
