"""The Triton kernels of SS2D. Imported only where a tensor lies on a GPU, or by the interpreter's tests.

One program reads one pair of opposite directions (rows or columns, each forth and back) of some steps and
channels, so that both share the pixels and their sum is written once. The two pairs are added after.

Chunks make a scan parallel along its length, in three passes: the state each chunk leaves from zero, the
state that enters it, and the outputs from there. No exponent is ever positive, so nothing overflows.

`D` is kept from being specialised on its divisibility on purpose: a thread then holds one channel with all
steps of a tile in its registers, and a scan along them is plain arithmetic, without shuffles or barriers.
For the same reason the tiles read low, B and C step by step in one piece, as `arrange` leaves them: from
image order, every thread would have to keep an address for every step.

Names: k direction, d channels of this program, t pixels of a tile in scan order, n state; P is the length L
filled up to whole tiles.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
_kernel = triton.jit(do_not_specialize_on_alignment=["D"])


@triton.jit
def _then(a1, b1, a2, b2):
    """h -> a1 h + b1, then h -> a2 h + b2."""
    return a2 * a1, a2 * b1 + b2


@triton.jit
def _then_back(c1, q1, a1, c2, q2, a2):
    """p -> c1 p + q1, times a1, -> c2 p + q2; a2 is still to act. One step alone is (1, driven, decay)."""
    return c2 * a1 * c1, c2 * a1 * q1 + q2, a2


@triton.jit
def _turned(tile, T: tl.constexpr, BD: tl.constexpr):
    """The steps of a tile the other way round. Halves are swapped at every level, and nothing moves: it ends
    as another naming of a thread's registers. (A scan's own `reverse=True` shuffles each value five times.)
    """
    for i in tl.static_range(8):
        if 2**i < T:
            halves = tl.permute(tl.reshape(tile, [2**i, 2, T * BD // 2 ** (i + 1)]), [0, 2, 1])
            first, second = tl.split(halves)
            tile = tl.reshape(tl.permute(tl.join(second, first), [0, 2, 1]), [T, BD])
    return tile


@triton.jit
def _states(decay, driven, BACK: tl.constexpr, T: tl.constexpr, BD: tl.constexpr):
    """h_t = decay_t h_(t-1) + driven_t along the tile, from its last step to its first if BACK."""
    if BACK:
        _, h = tl.associative_scan((_turned(decay, T, BD), _turned(driven, T, BD)), 0, _then)
        h = _turned(h, T, BD)
    else:
        _, h = tl.associative_scan((decay, driven), 0, _then)
    return h


@triton.jit
def _adjoints(decay, driven, BACK: tl.constexpr, T: tl.constexpr, BD: tl.constexpr):
    """q_t = driven_t + decay_u q_u, u the step read before t: the decay acts on what is handed on."""
    one = tl.full([T, BD], 1.0, tl.float32)
    if BACK:
        _, q, _ = tl.associative_scan((one, _turned(driven, T, BD), _turned(decay, T, BD)), 0, _then_back)
        q = _turned(q, T, BD)
    else:
        _, q, _ = tl.associative_scan((one, driven, decay), 0, _then_back)
    return q


@triton.jit
def pixel(step, columns, H, W):
    """Image index of a step of the row-major (columns = 0) or column-major (1) order."""
    return tl.where(columns == 1, step % H * W + step // H, step)


@triton.jit
def softplus(z):
    """log(1 + e^z) with a small relative error where it is tiny too: log1p(e) = 2 artanh(e / (2 + e))."""
    e = tl.exp(-tl.abs(z))
    s = e / (2.0 + e)
    q = s * s
    series = 2.0 / 11 + q * (2.0 / 13 + q * (2.0 / 15))
    series = 2.0 / 5 + q * (2.0 / 7 + q * (2.0 / 9 + q * series))
    return tl.maximum(z, 0.0) + s * (2.0 + q * (2.0 / 3 + q * series))


@triton.jit
def _slope(dt):
    """The derivative of softplus from its value, 1 - e^-dt, without cancellation where dt is small."""
    series = 1.0 / 120 - dt * (1.0 / 720 - dt * (1.0 / 5040 - dt * (1.0 / 40320)))
    series = 1.0 - dt * (1.0 / 2 - dt * (1.0 / 6 - dt * (1.0 / 24 - dt * series)))
    return tl.where(dt < 0.5, dt * series, 1.0 - tl.exp(-dt))


@triton.jit
def _step_sizes(low, weight, bias, steps, inside, k, d, channel, D, R, P):
    """softplus of the projected steps, (T, BD); none beyond the picture."""
    z = tl.load(bias + k * D + d, mask=channel, other=0.0).to(tl.float32)[None, :]
    z = tl.broadcast_to(z, inside.shape[0], d.shape[0])
    for r in range(R):
        w = tl.load(weight + (k * D + d) * R + r, mask=channel, other=0.0).to(tl.float32)
        z += tl.load(low + r * P + steps)[:, None] * w[None, :]
    return tl.where(inside[:, None], softplus(z), 0.0)


@triton.jit
def _exponent(A, k, d, channel, n, D, N: tl.constexpr):
    """A[k, d, n] for powers of two instead of e, (BD,)."""
    return tl.load(A + (k * D + d) * N + n, mask=channel, other=0.0).to(tl.float32) * LOG2E


@_kernel
def arrange(
    image_order, scan_order, H, W, D, P, by_pixel, by_direction,
    T: tl.constexpr, BD: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """(B, L, 4, D) in image order, by strides, to (B, 4, D, P) float32 in scan order, zero beyond L; or back.

    The directions of a pair have one order, the way forth.
    """
    sequence = tl.program_id(1).to(tl.int64)
    image, k = sequence // 4, sequence % 4
    steps = tl.program_id(0) * T + tl.arange(0, T)
    d = tl.arange(0, BD)
    t = pixel(steps, k % 2, H, W)
    here = image_order + image * H * W * by_pixel + k * by_direction + t[:, None] * by_pixel + d[None, :]
    there = scan_order + sequence * D * P + steps[:, None] + d[None, :] * P
    mask = (steps < H * W)[:, None] & (d < D)[None, :]
    if BACK:
        tl.store(here, tl.load(there, mask=mask, other=0.0), mask=mask)
    else:
        filled = (steps < P)[:, None] & (d < D)[None, :]
        tl.store(there, tl.load(here, mask=mask, other=0.0).to(tl.float32), mask=filled)


@_kernel
def tile_states(
    x, dy, low, weight, bias, B, C, A, forth, back, elapsed, H, W, D, R, G, P, tiles,
    N: tl.constexpr, T: tl.constexpr, BD: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """Pass 1: what leaves each chunk of `tiles` x T steps if nothing enters it, and the sum of its steps.

    forth: the state, in the direction of travel; back, if asked for: the adjoint, against it, of one tile.
    Both (B, 4, G, N, D).
    """
    chunk, pair = tl.program_id(0), tl.program_id(1) % 2
    image = (tl.program_id(1) // 2).to(tl.int64)
    d = tl.program_id(2) * BD + tl.arange(0, BD)
    channel = d < D
    row = tl.arange(0, T)
    for direction in tl.static_range(2):
        k = pair + 2 * direction
        first, last = 0 if direction == 0 else T - 1, T - 1 if direction == 0 else 0
        sequence = image * 4 + k
        slot = sequence * G + chunk
        total = tl.zeros([BD], tl.float32)
        for i in range(tiles):
            steps = (chunk * tiles + (i if direction == 0 else tiles - 1 - i)) * T + row
            inside = steps < H * W
            mask = inside[:, None] & channel[None, :]
            pixels = image * H * W * D + pixel(steps, pair, H, W)[:, None] * D + d[None, :]
            x_t = tl.load(x + pixels, mask=mask, other=0.0).to(tl.float32)
            if BACK:
                dy_t = tl.load(dy + pixels, mask=mask, other=0.0).to(tl.float32)
            dt = _step_sizes(low + sequence * R * P, weight, bias, steps, inside, k, d, channel, D, R, P)
            total += tl.sum(dt, 0)
            for n in range(N):
                at, ends = (sequence * N + n) * P + steps, (slot * N + n) * D + d
                decay = tl.exp2(dt * _exponent(A, k, d, channel, n, D, N)[None, :])
                before = tl.load(forth + ends, mask=channel & (i > 0), other=0.0)
                entered = tl.where((row == first)[:, None], decay * before[None, :], 0.0)
                h = _states(decay, dt * x_t * tl.load(B + at)[:, None] + entered, direction == 1, T, BD)
                tl.store(forth + ends, tl.sum(tl.where((row == last)[:, None], h, 0.0), 0), mask=channel)
                if BACK:
                    p = _states(decay, decay * dy_t * tl.load(C + at)[:, None], direction == 0, T, BD)
                    tl.store(back + ends, tl.sum(tl.where((row == first)[:, None], p, 0.0), 0), mask=channel)
            tl.debug_barrier()  # the next tile takes up the states where this one left them
        tl.store(elapsed + slot * D + d, total, mask=channel)


@_kernel
def carry(
    local, elapsed, A, start, entering, leaving, D, G,
    N: tl.constexpr, T: tl.constexpr, BD: tl.constexpr,
    BACK: tl.constexpr, STARTED: tl.constexpr,
):  # fmt: skip
    """Pass 2: from what leaves each chunk alone, (B, 4, G, N, D), to what enters it, the same shape.

    start (B, 4, D, N) enters the first chunk; leaving (B, 4, D, N) leaves the last. BACK is the other way.
    """
    n, sequence = tl.program_id(0) % N, (tl.program_id(0) // N).to(tl.int64)
    k = (sequence % 4).to(tl.int32)
    d = tl.program_id(1) * BD + tl.arange(0, BD)
    channel = d < D
    row = tl.arange(0, T)
    backwards = (k < 2) if BACK else (k >= 2)
    a = _exponent(A, k, d, channel, n, D, N)
    ends = (sequence * D + d) * N + n
    h = tl.zeros([BD], tl.float32)
    if STARTED:
        h = tl.load(start + ends, mask=channel, other=0.0).to(tl.float32)
    chunk = tl.where(backwards, G - 1, 0)
    tl.store(entering + ((sequence * G + chunk) * N + n) * D + d, h, mask=channel)
    for done in range(0, G, T):
        i = done + row
        slot = sequence * G + tl.where(backwards, G - 1 - i, i)
        mask = (i < G)[:, None] & channel[None, :]
        added = tl.load(local + ((slot * N + n) * D)[:, None] + d[None, :], mask=mask, other=0.0)
        dt = tl.load(elapsed + (slot * D)[:, None] + d[None, :], mask=mask, other=0.0)
        decay, gained = tl.associative_scan((tl.exp2(dt * a[None, :]), added), 0, _then)
        state = gained + decay * h[None, :]
        onward = ((slot + tl.where(backwards, -1, 1)) * N + n) * D
        tl.store(entering + onward[:, None] + d[None, :], state, mask=(i + 1 < G)[:, None] & channel[None, :])
        h = tl.sum(tl.where((row == T - 1)[:, None], state, 0.0), 0)
    tl.store(leaving + ends, h, mask=channel)


@_kernel
def tile_outputs(
    x, low, weight, bias, B, C, A, skip, entering, parts, H, W, D, R, G, P, tiles,
    N: tl.constexpr, T: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """Pass 3: the outputs of both directions of a pair, summed; parts (2, B, L, D) float32.

    entering is written over, from tile to tile. With one chunk it is the only pass.
    """
    chunk, pair = tl.program_id(0), tl.program_id(1) % 2
    image = (tl.program_id(1) // 2).to(tl.int64)
    images = tl.num_programs(1) // 2
    d = tl.program_id(2) * BD + tl.arange(0, BD)
    channel = d < D
    row = tl.arange(0, T)
    x += image * H * W * D
    parts += (pair * images + image) * H * W * D
    for direction in tl.static_range(2):
        k = pair + 2 * direction
        first, last = 0 if direction == 0 else T - 1, T - 1 if direction == 0 else 0
        sequence = image * 4 + k
        through = tl.load(skip + k * D + d, mask=channel, other=0.0).to(tl.float32)
        for i in range(tiles):
            steps = (chunk * tiles + (i if direction == 0 else tiles - 1 - i)) * T + row
            inside = steps < H * W
            mask = inside[:, None] & channel[None, :]
            pixels = pixel(steps, pair, H, W)[:, None] * D + d[None, :]
            x_t = tl.load(x + pixels, mask=mask, other=0.0).to(tl.float32)
            dt = _step_sizes(low + sequence * R * P, weight, bias, steps, inside, k, d, channel, D, R, P)
            y = through[None, :] * x_t
            for n in range(N):
                at, ends = (sequence * N + n) * P + steps, ((sequence * G + chunk) * N + n) * D + d
                decay = tl.exp2(dt * _exponent(A, k, d, channel, n, D, N)[None, :])
                before = tl.load(entering + ends, mask=channel, other=0.0)
                entered = tl.where((row == first)[:, None], decay * before[None, :], 0.0)
                h = _states(decay, dt * x_t * tl.load(B + at)[:, None] + entered, direction == 1, T, BD)
                tl.store(entering + ends, tl.sum(tl.where((row == last)[:, None], h, 0.0), 0), mask=channel)
                y += h * tl.load(C + at)[:, None]
            if direction == 1:
                y += tl.load(parts + pixels, mask=mask, other=0.0)
            tl.store(parts + pixels, y, mask=mask)
            tl.debug_barrier()  # the next tile takes up the states, the way back the outputs of the way forth


@_kernel
def tile_gradients(
    x, dy, low, weight, bias, B, C, A, skip, entering, entering_back, dx, dz, dB, dC, dA, H, W, D, R, G, P,
    N: tl.constexpr, T: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """The backward's pass 3. dx (2, B, L, D) by pair, dz (B, 4, P, D) of the projected steps before softplus,
    dA (B, 4, G, N, D) by chunk; dB, dC (B, 4, N, P), zero before. All float32, and all but dA in scan order.
    """
    chunk, pair = tl.program_id(0), tl.program_id(1) % 2
    image = (tl.program_id(1) // 2).to(tl.int64)
    images = tl.num_programs(1) // 2
    d = tl.program_id(2) * BD + tl.arange(0, BD)
    channel = d < D
    row = tl.arange(0, T)
    steps = chunk * T + row
    inside = steps < H * W
    mask = inside[:, None] & channel[None, :]
    pixels = pixel(steps, pair, H, W)[:, None] * D + d[None, :]
    x_t = tl.load(x + image * H * W * D + pixels, mask=mask, other=0.0).to(tl.float32)
    dy_t = tl.load(dy + image * H * W * D + pixels, mask=mask, other=0.0).to(tl.float32)
    dx += (pair * images + image) * H * W * D
    rows = row[:, None] * D + d[None, :]
    for direction in tl.static_range(2):
        k = pair + 2 * direction
        before = row == (0 if direction == 0 else T - 1)
        after = row == (T - 1 if direction == 0 else 0)
        sequence = image * 4 + k
        dt = _step_sizes(low + sequence * R * P, weight, bias, steps, inside, k, d, channel, D, R, P)
        ddt = tl.zeros([T, BD], tl.float32)
        du = tl.zeros([T, BD], tl.float32)
        for n in range(N):
            at = (sequence * N + n) * P + steps
            B_n, C_n = tl.load(B + at)[:, None], tl.load(C + at)[:, None]
            ends = ((sequence * G + chunk) * N + n) * D + d
            h0 = tl.load(entering + ends, mask=channel, other=0.0)[None, :]
            p0 = tl.load(entering_back + ends, mask=channel, other=0.0)[None, :]
            a = _exponent(A, k, d, channel, n, D, N)[None, :]
            decay = tl.exp2(dt * a)
            driven = dt * x_t * B_n
            entered = tl.where(before[:, None], decay * h0, 0.0)
            h = _states(decay, driven + entered, direction == 1, T, BD)
            tl.atomic_add(dC + at, tl.sum(dy_t * h, 1), sem="relaxed")
            entered = tl.where(after[:, None], p0, 0.0)
            q = _adjoints(decay, dy_t * C_n + entered, direction == 0, T, BD)
            tl.atomic_add(dB + at, tl.sum(q * dt * x_t, 1), sem="relaxed")
            kept = q * (h - driven)  # of the state before this step
            tl.store(dA + ends, tl.sum(kept * dt, 0), mask=channel)
            ddt += kept * (a / LOG2E)
            du += q * B_n
        ddt += du * x_t
        tl.store(dz + (sequence * P + chunk * T) * D + rows, ddt * _slope(dt), mask=channel[None, :])
        dx_t = du * dt + tl.load(skip + k * D + d, mask=channel, other=0.0).to(tl.float32)[None, :] * dy_t
        if direction == 1:
            dx_t += tl.load(dx + chunk * T * D + rows, mask=mask, other=0.0)
        tl.store(dx + chunk * T * D + rows, dx_t, mask=mask)
        tl.debug_barrier()  # the way back adds to what the way forth wrote: no register has room for it


@triton.jit
def exponentials(out, rounds, VALUES: tl.constexpr):
    """Nothing but exponentials, `rounds` of VALUES a program: their rate is a ceiling of the scan."""
    at = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    value = at.to(tl.float32) * 1e-9
    for _ in range(rounds):
        value = tl.exp2(-value)
    tl.store(out + at, value)
