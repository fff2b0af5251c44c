"""The sequential Triton kernel of SS2D: no tiles, one step after the other, for inference.

It has the parameters and the pairs of directions of `kernels`, and reads low, B and C where they lie.
"""

from __future__ import annotations

import triton
import triton.language as tl

from glihamba.ops.triton.kernels import LOG2E, pixel, softplus


@triton.jit(do_not_specialize_on_alignment=["D"], do_not_specialize=["unit", "entering_d", "entering_n"])
def sequential(
    x, low, weight, bias, B, C, A, skip, entering, leaving, elapsed, parts,
    H, W, D, R, G, steps, low_t, low_k, B_t, B_k, C_t, C_k, entering_d, entering_n, unit,
    N: tl.constexpr, NP: tl.constexpr, RP: tl.constexpr, BD: tl.constexpr,
    STARTED: tl.constexpr, OUTPUT: tl.constexpr,
):  # fmt: skip
    """Pass 1 (OUTPUT = 0) or 3 (1) step by step, the state (N, BD) in registers: one exponential a state
    and step, and a chunk may be as long as the sequence. NP and RP are N and R up to a power of two.

    low, B and C are in image order. unit is 1: a compiler that knew A and weight to be dense along n and r
    would share those between threads, and shuffle at every step.
    """
    chunk, pair = tl.program_id(0), tl.program_id(1) % 2
    image = (tl.program_id(1) // 2).to(tl.int64)
    images = tl.num_programs(1) // 2
    d = tl.program_id(2) * BD + tl.arange(0, BD)
    channel = d < D
    n, r = tl.arange(0, NP), tl.arange(0, RP)
    states = (n < N)[:, None] & channel[None, :]
    ranks = (r < R)[:, None] & channel[None, :]
    begin, end = chunk * steps, tl.minimum(chunk * steps + steps, H * W)
    stride = tl.where(pair == 1, W, 1)
    x += image * H * W * D
    low += image * H * W * low_t
    B += image * H * W * B_t
    C += image * H * W * C_t
    if OUTPUT:
        parts += (pair * images + image) * H * W * D
    for direction in tl.static_range(2):
        k = pair + 2 * direction
        slot = (image * 4 + k) * G + chunk
        of_state = (k * D + d)[None, :] * N + n[:, None] * unit
        a = tl.load(A + of_state, mask=states, other=0.0).to(tl.float32) * LOG2E
        of_rank = (k * D + d)[None, :] * R + r[:, None] * unit
        w = tl.load(weight + of_rank, mask=ranks, other=0.0).to(tl.float32)
        shift = tl.load(bias + k * D + d, mask=channel, other=0.0).to(tl.float32)
        through = tl.load(skip + k * D + d, mask=channel, other=0.0).to(tl.float32)
        h = tl.zeros([NP, BD], tl.float32)
        if STARTED:
            to = slot * N * D + n[:, None] * entering_n + d[None, :] * entering_d
            h = tl.load(entering + to, mask=states, other=0.0).to(tl.float32)
        total = tl.zeros([BD], tl.float32)
        t = pixel(begin if direction == 0 else end - 1, pair, H, W)
        for _ in range(begin, end):
            x_t = tl.load(x + t * D + d, mask=channel, other=0.0).to(tl.float32)
            v = tl.load(low + t * low_t + k * low_k + r, mask=r < R, other=0.0).to(tl.float32)
            B_n = tl.load(B + t * B_t + k * B_k + n, mask=n < N, other=0.0).to(tl.float32)
            dt = softplus(tl.sum(v[:, None] * w, 0) + shift)
            h = tl.exp2(dt[None, :] * a) * h + (dt * x_t)[None, :] * B_n[:, None]
            if OUTPUT:
                C_n = tl.load(C + t * C_t + k * C_k + n, mask=n < N, other=0.0).to(tl.float32)
                y = tl.sum(h * C_n[:, None], 0) + through * x_t
                if direction == 1:
                    y += tl.load(parts + t * D + d, mask=channel, other=0.0)
                tl.store(parts + t * D + d, y, mask=channel)
            else:
                total += dt
            if direction == 0:
                t += stride
                t = tl.where(t < H * W, t, t - H * W + 1)  # from the end of a column to the next
            else:
                t -= stride
                t = tl.where(t >= 0, t, t + H * W - 1)
        if OUTPUT:
            tl.debug_barrier()  # the way back adds to what the way forth wrote
        else:
            tl.store(leaving + slot * N * D + n[:, None] * D + d[None, :], h, mask=states)
            tl.store(elapsed + slot * D + d, total, mask=channel)
