"""The numba kernels of SS2D on the CPU, forward and backward, for any number of states and channels.

A block of channels is one `Vector`, its states are `Rows` in registers. The pixels are read in chunks of
steps: first their step sizes are projected, then the scan runs over them. The four directions are four orders
of the same pixels. The forward kernel saves the states before each chunk, so that the backward kernel
recomputes one chunk at a time, near the cores.

What bounds it, for D=192, L=4096, N=16 in AVX-512: x, y, low-rank steps, B and C are 9 MB, half a millisecond
of memory; x and y pass the second-level cache four times, 37 MB. A state's step is nine multiply-adds (its
exponent, a polynomial of degree 5, what drives it, itself, its output), a channel's step about 32 more (the
projection of rank 12, softplus): 28 + 6 million cycles of a core that begins one of 512 bits a cycle, as
Zen 4 does, or 9.6 ms at 3.6 GHz; with N=1 8 million, 2.2 ms. So arithmetic is the bottleneck.

Layouts beside those of `glihamba.ops.layout`; all arrays are flat. Parameters have the channels last,
padded with zeros to whole blocks (P of them): weight (K,R,P), bias (K,P), rates = A log2(e) (K,N,P),
skip (P,) summed over the directions; so have the states before and after all steps, h0 and end (B,K,N,P),
and saved (B,K,chunks,N,P). Low-rank steps, B and C are read where they lie: their token and direction
strides are in `sizes`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
from numba import types

from glihamba.ops import layout
from glihamba.ops.cpu import numba_api as cpu_numba_api
from glihamba.ops.cpu import steps as cpu_steps
from glihamba.ops.cpu import vector as cpu_vector
from glihamba.ops.cpu.steps import advance, gather, project, replay_chunk, retreat_chunk, sum_up, unproject
from glihamba.ops.cpu.vector import (
    add,
    load,
    load_rows,
    load_some,
    mul,
    softplus,
    store,
    store_rows,
    store_some,
    zero_rows,
    zeros,
)
from glihamba.ops.layout import DIRECTIONS

CHUNK = 32  # steps

# Numba keys its disk cache by this file's content and by what the compiled function closes over. A kernel
# contains what these other files say, so it closes over their checksum.
_SOURCES = (layout, cpu_steps, cpu_vector, cpu_numba_api)
STAMP = zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in _SOURCES))

_FLOATS, _ORDER, _INT = types.float32[::1], types.int32[::1], types.intp
FORWARD = types.void(*[_FLOATS] * 9, _ORDER, *[_FLOATS] * 4, types.UniTuple(_INT, 11), *[_INT] * 4)
BACKWARD = types.void(
    *[_FLOATS] * 9, _ORDER, *[_FLOATS] * 10, types.UniTuple(_INT, 8), types.UniTuple(_INT, 13), *[_INT] * 4
)


def forward_scratch(lanes: int) -> int:
    """Floats that the forward kernel needs for itself."""
    return (2 * CHUNK + 4) * lanes


def forward_kernel(N: int, lanes: int) -> Callable[..., None]:
    """The function to compile for N states and blocks of `lanes` channels.

    It writes y (B,L,D), end, and unless `keep` is 0 saved, for pictures first_b <= b < last_b and padded
    channels first_d <= d < last_d.
    """
    stamp = STAMP

    def forward(
        x, low, weight, bias, B, C, rates, skip, h0, order_of, y, end, saved, scratch, sizes,
        first_b, last_b, first_d, last_d,
    ):  # fmt: skip
        _ = stamp
        L, D, P, R, low_t, low_k, B_t, B_k, C_t, C_k, keep = sizes
        K, chunks = DIRECTIONS, (L + CHUNK - 1) // CHUNK
        zero, rows = zeros(lanes), zero_rows(N, lanes)
        for b in range(first_b, last_b):
            for d in range(first_d, last_d, lanes):
                count = min(lanes, D - d)
                skip_d = load(skip, d, zero)
                for at in range(b * L * D + d, (b + 1) * L * D + d, D):
                    store_some(y, at, mul(skip_d, load_some(x, at, count, zero)), count)
                for k in range(K):
                    parameter, state = k * N * P + d, (b * K + k) * N * P + d
                    bias_d, rates_d = load(bias, k * P + d, zero), load_rows(rates, parameter, P, rows)
                    states = load_rows(h0, state, P, rows)
                    for chunk in range(chunks):
                        order = order_of[k * L + chunk * CHUNK : k * L + min((chunk + 1) * CHUNK, L)]
                        if keep:
                            store_rows(saved, ((b * K + k) * chunks + chunk) * N * P + d, P, states)
                        base = b * L * low_t + k * low_k
                        project(scratch, low, weight, bias_d, order, base, low_t, R, k * R * P + d, P, lanes)
                        for j in range(len(order)):
                            dt = softplus(load(scratch, j * lanes, zero))
                            x_j = load_some(x, (b * L + order[j]) * D + d, count, zero)
                            store(scratch, j * lanes, dt)
                            store(scratch, (CHUNK + 4 + j) * lanes, mul(dt, x_j))
                        for j in range(len(order)):
                            t = b * L + order[j]
                            dt = load(scratch, j * lanes, zero)
                            u = load(scratch, (CHUNK + 4 + j) * lanes, zero)
                            y_j = load_some(y, t * D + d, count, zero)
                            at_B, at_C = t * B_t + k * B_k, t * C_t + k * C_k
                            states, y_j = advance(states, rates_d, dt, u, y_j, B, at_B, C, at_C)
                            store_some(y, t * D + d, y_j, count)
                    store_rows(end, state, P, states)

    return forward


def backward_places(N: int, R: int, lanes: int, narrow: int, channels: int) -> tuple[int, ...]:
    """Where the backward kernel keeps what, in floats, and how many it needs in all.

    For the steps of a chunk: step sizes, later the gradient before softplus; slopes of softplus; u; decays;
    states before each step and after the last; low-rank steps, B and C; the gradients of those three, in
    `narrow` lanes. For `channels` padded channels: the adjoint.
    """
    block, columns = CHUNK * lanes, R + 2 * N
    sizes = (block + 4 * lanes, block, block, N * block, N * (block + lanes), CHUNK * columns)
    return tuple(accumulate((*sizes, CHUNK * columns * narrow, N * channels)))


def backward_kernel(N: int, lanes: int, narrow: int) -> Callable[..., None]:
    """The function to compile for N states, blocks of `lanes` channels and sums over them in `narrow` lanes.

    Tasks are (group of pictures, part); parts are the four directions, or all of them in one. For padded
    channels first_d <= d < last_d it writes dx (parts,B,L,D), summed over a part's directions, and dh0; also
    selected (B,L,K,R+2N), the gradients of low-rank steps, B and C, added to if first_d is not 0. It adds to
    dweight (G,K,R,P), dbias (G,K,P), dA (G,K,N,P) and dskip (G,P), each group to its own.
    """
    stamp = STAMP

    def backward(
        x, low, weight, bias, B, C, rates, skip, saved, order_of, dy, dend,
        dx, selected, dweight, dbias, dA, dskip, dh0, scratch, places, sizes, first, last, first_d, last_d,
    ):  # fmt: skip
        _ = stamp
        L, D, P, R, low_t, low_k, B_t, B_k, C_t, C_k, pictures, groups, parts = sizes
        K, chunks, channels, columns = DIRECTIONS, (L + CHUNK - 1) // CHUNK, last_d - first_d, R + 2 * N
        zero, rows, sums = zeros(lanes), zero_rows(N, lanes), zeros(narrow)
        at_in, at_sums, at_adjoint = places[4:7]
        steps = np.arange(CHUNK).astype(np.int32)
        for task in range(first, last):
            g, part = task // parts, task % parts
            first_b, last_b = pictures * g // groups, pictures * (g + 1) // groups
            for scan in range((last_b - first_b) * (K // parts)):
                k, b = part + scan // (last_b - first_b), first_b + scan % (last_b - first_b)
                bk, gk = b * K + k, g * K + k
                for d in range(first_d, last_d, lanes):
                    adjoint = load_rows(dend, bk * N * P + d, P, rows)
                    store_rows(scratch, at_adjoint + d - first_d, channels, adjoint)
                for chunk in range(chunks - 1, -1, -1):
                    order = order_of[k * L + chunk * CHUNK : k * L + min((chunk + 1) * CHUNK, L)]
                    m = len(order)
                    gather(
                        scratch, at_in, columns, low, b * L * low_t + k * low_k, low_t, R,
                        B, b * L * B_t + k * B_k, B_t, C, b * L * C_t + k * C_k, C_t, N, order,
                    )  # fmt: skip
                    scratch[at_sums : at_sums + m * columns * narrow] = 0
                    for d in range(first_d, last_d, lanes):
                        count, at_x, mine = min(lanes, D - d), b * L * D + d, at_adjoint + d - first_d
                        weight_at, weight_into, A_into = k * R * P + d, gk * R * P + d, gk * N * P + d
                        bias_d = load(bias, k * P + d, zero)
                        rates_d = load_rows(rates, k * N * P + d, P, rows)
                        project(
                            scratch, scratch, weight, bias_d, steps[:m], at_in, columns, R, weight_at, P,
                            lanes,
                        )  # fmt: skip
                        states = load_rows(saved, (bk * chunks + chunk) * N * P + d, P, rows)
                        replay_chunk(
                            scratch, places, states, rates_d, x, at_x, D, count, order, N, R, columns, zero,
                            lanes,
                        )  # fmt: skip
                        adjoint, dA_d = (
                            load_rows(scratch, mine, channels, rows),
                            load_rows(dA, A_into, P, rows),
                        )
                        skip_d = load(skip, d, zero) if k == 0 else zero
                        adjoint, dA_d, dskip_d = retreat_chunk(
                            scratch, places, adjoint, dA_d, rates_d, skip_d, x, dy, at_x, dx,
                            part * pictures * L * D + at_x, k > part, D, count, order, N, R, columns, zero,
                            lanes, sums, narrow,
                        )  # fmt: skip
                        store_rows(scratch, mine, channels, adjoint)
                        store_rows(dA, A_into, P, dA_d)
                        if k == 0:
                            add(dskip, g * P + d, dskip_d)
                        unproject(
                            scratch, places, weight, dweight, weight_at, weight_into, P, dbias, gk * P + d,
                            m, R, columns, lanes, zero, sums, narrow,
                        )  # fmt: skip
                    base, stride = (b * L * K + k) * columns, K * columns
                    sum_up(
                        scratch, at_sums, selected, base, stride, order, columns, sums, narrow, first_d > 0
                    )
                for d in range(first_d, last_d, lanes):
                    adjoint = load_rows(scratch, at_adjoint + d - first_d, channels, rows)
                    store_rows(dh0, bk * N * P + d, P, adjoint)

    return backward
