"""The steps that the SS2D kernels on the CPU are made of, forward and back, for a block of channels.

`vector` says what `Vector` and `Rows` are, `kernels` has the layouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable

from glihamba.ops.cpu import vector as v
from glihamba.ops.cpu.numba_api import tuple_of
from glihamba.ops.cpu.vector import (
    accumulate,
    add,
    fma,
    fma_scalar,
    load,
    load_some,
    mul,
    softplus_and_slope,
    store,
    store_rows,
    store_some,
    total_of,
)

_INT = types.intp
LN2 = np.float32(0.6931471805599453)


def _step(b: Any, n: int, states: Any, rates: Any, dt: Any, u: Any, B: Any, at_B: Any) -> tuple[Any, Any]:
    """The decay exp(dt A) of state n, and the state one step on: decay * state + u B."""
    decay = v.exp2_of(b, b.fmul(dt, b.extract_value(rates, n)))
    driven = b.fmul(u, v.splat_at(b, B, b.add(at_B, at_B.type(n)), dt.type.count))
    return decay, v.multiply_add(b, decay, b.extract_value(states, n), driven)


@intrinsic
def advance(
    typing: Any, states: Any, rates: Any, dt: Any, u: Any, y: Any, B: Any, at_B: Any, C: Any, at_C: Any
) -> Any:
    """The states one step on, and y + C states. Four partial sums hide the latency of additions."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, rates_, dt_, u_, y_, _, at_B_, _, at_C_ = args
        B_, C_ = (v.data_of(context, b, signature, args, i) for i in (5, 7))
        sums = [y_]
        for n in range(states.count):
            _, state = _step(b, n, rows, rates_, dt_, u_, B_, at_B_)
            rows = b.insert_value(rows, state, n)
            read = v.splat_at(b, C_, b.add(at_C_, at_C_.type(n)), states.lanes)
            if 0 < n < 4:
                sums.append(b.fmul(state, read))
            else:
                sums[n % 4] = v.multiply_add(b, state, read, sums[n % 4])
        while len(sums) > 1:
            sums = [b.fadd(*pair) for pair in zip(sums[::2], sums[1::2], strict=True)]
        return tuple_of(context, b, signature.return_type, (rows, sums[0]))

    result = types.Tuple((states, y))
    return result(states, rates, dt, u, y, B, types.intp, C, types.intp), generate


@intrinsic
def replay(
    typing: Any, states: Any, rates: Any, dt: Any, u: Any, kept: Any,
    at_B: Any, at_decays: Any, at_states: Any,
) -> Any:  # fmt: skip
    """The states one step on; they and their decays are kept."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, rates_, dt_, u_, _, B_at, *places = args
        kept_ = v.data_of(context, b, signature, args, 4)
        for n in range(states.count):
            decay, state = _step(b, n, rows, rates_, dt_, u_, kept_, B_at)
            rows = b.insert_value(rows, state, n)
            for x, at in zip((decay, state), places, strict=True):
                v.store_at(b, x, kept_, b.add(at, at.type(n * states.lanes)))
        return rows

    return states(states, rates, dt, u, kept, *[_INT] * 3), generate


@intrinsic
def retreat(
    typing: Any, adjoint: Any, dA: Any, rates: Any, dt: Any, u: Any, dy: Any, kept: Any,
    at_B: Any, at_C: Any, at_decays: Any, at_states: Any, at_dB: Any, at_dC: Any, like: Any,
) -> Any:  # fmt: skip
    """One step back: the new adjoint and dA, and the gradients of u and, but for a factor log(2), of dt.

    adjoint: gradient of the states after the step, less what y read of them, and then of those before it.
    `kept` has the states before the step and, a row on, after it. The gradients of B and C are added up in
    as many lanes as `like` has.
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows, dA_, rates_, dt_, u_, dy_, _, B_at, C_at, decays, states, dB_at, dC_at, _ = args
        kept_ = v.data_of(context, b, signature, args, 6)
        du = d_dt = v.constant(dy_, 0.0)
        width, row = adjoint.lanes, adjoint.count * adjoint.lanes

        def on(index: Any, floats: int) -> Any:
            return b.add(index, index.type(floats))

        for n in range(adjoint.count):
            before, decay = (v.load_at(b, kept_, on(i, n * width), width) for i in (states, decays))
            after = v.load_at(b, kept_, on(states, row + n * width), width)
            g = v.multiply_add(b, dy_, v.splat_at(b, kept_, on(C_at, n), width), b.extract_value(rows, n))
            v.add_at(b, v.fold(b, b.fmul(dy_, after), like.lanes), kept_, on(dC_at, n * like.lanes))
            v.add_at(b, v.fold(b, b.fmul(g, u_), like.lanes), kept_, on(dB_at, n * like.lanes))
            du = v.multiply_add(b, g, v.splat_at(b, kept_, on(B_at, n), width), du)
            g = b.fmul(g, decay)
            rows = b.insert_value(rows, g, n)
            exponent = b.fmul(g, before)  # gradient of dt A
            d_dt = v.multiply_add(b, exponent, b.extract_value(rates_, n), d_dt)
            dA_ = b.insert_value(dA_, v.multiply_add(b, exponent, dt_, b.extract_value(dA_, n)), n)
        return tuple_of(context, b, signature.return_type, (rows, dA_, du, d_dt))

    result = types.Tuple((adjoint, dA, dt, dt))
    return result(adjoint, dA, rates, dt, u, dy, kept, *[_INT] * 6, like), generate


@register_jitable
def project(z, low, weight, bias, order, base, token, R, at, stride, lanes):
    """z[j] = bias + sum over r of weight[r] low[j, r], for a chunk of steps, four at a time."""
    last = len(order) - 1
    for j in range(0, len(order), 4):
        at_0, at_1 = base + order[j] * token, base + order[min(j + 1, last)] * token
        at_2, at_3 = base + order[min(j + 2, last)] * token, base + order[min(j + 3, last)] * token
        z_0 = z_1 = z_2 = z_3 = bias
        for r in range(R):
            w = load(weight, at + r * stride, bias)
            z_0 = fma_scalar(w, low[at_0 + r], z_0)
            z_1 = fma_scalar(w, low[at_1 + r], z_1)
            z_2 = fma_scalar(w, low[at_2 + r], z_2)
            z_3 = fma_scalar(w, low[at_3 + r], z_3)
        store(z, j * lanes, z_0)
        store(z, (j + 1) * lanes, z_1)
        store(z, (j + 2) * lanes, z_2)
        store(z, (j + 3) * lanes, z_3)


@register_jitable
def gather(scratch, at, columns, low, base_low, low_t, R, B, base_B, B_t, C, base_C, C_t, N, order):
    """Low-rank steps, B and C of a chunk, one step after the other."""
    for j in range(len(order)):
        t, into = order[j], at + j * columns
        for r in range(R):
            scratch[into + r] = low[base_low + t * low_t + r]
        for n in range(N):
            scratch[into + R + n] = B[base_B + t * B_t + n]
            scratch[into + R + N + n] = C[base_C + t * C_t + n]


@register_jitable
def replay_chunk(scratch, places, states, rates, x, at_x, D, count, order, N, R, columns, zero, lanes):
    """The chunk again from the states before it: z becomes step sizes; slope, u, decays, states are kept."""
    at_slope, at_u, at_decays, at_states, at_in = places[:5]
    store_rows(scratch, at_states, lanes, states)
    for j in range(len(order)):
        dt, slope = softplus_and_slope(load(scratch, j * lanes, zero))
        u = mul(dt, load_some(x, at_x + order[j] * D, count, zero))
        store(scratch, j * lanes, dt)
        store(scratch, at_slope + j * lanes, slope)
        store(scratch, at_u + j * lanes, u)
        here, at_B = j * N * lanes, at_in + j * columns + R
        states = replay(states, rates, dt, u, scratch, at_B, at_decays + here, at_states + here + N * lanes)


@register_jitable
def retreat_chunk(
    scratch, places, adjoint, dA, rates, skip, x, dy, at_x, dx, into, begun, D, count, order,
    N, R, columns, zero, lanes, sums, narrow,
):  # fmt: skip
    """The chunk backwards; dx is written, or added to if `begun`. Returns adjoint, dA and dskip."""
    at_slope, at_u, at_decays, at_states, at_in, at_sums = places[:6]
    dskip = zero
    for j in range(len(order) - 1, -1, -1):
        pixel = order[j] * D
        x_j, dy_j = load_some(x, at_x + pixel, count, zero), load_some(dy, at_x + pixel, count, zero)
        dt, u = load(scratch, j * lanes, zero), load(scratch, at_u + j * lanes, zero)
        here, at_B, at_dB = j * N * lanes, at_in + j * columns + R, at_sums + (j * columns + R) * narrow
        adjoint, dA, du, d_dt = retreat(
            adjoint, dA, rates, dt, u, dy_j, scratch, at_B, at_B + N, at_decays + here, at_states + here,
            at_dB, at_dB + N * narrow, sums,
        )  # fmt: skip
        d_dt = fma_scalar(d_dt, LN2, mul(du, x_j))
        store(scratch, j * lanes, mul(d_dt, load(scratch, at_slope + j * lanes, zero)))
        before = load_some(dx, into + pixel, count, zero) if begun else mul(skip, dy_j)
        store_some(dx, into + pixel, fma(du, dt, before), count)
        dskip = fma(x_j, dy_j, dskip)
    return adjoint, dA, dskip


@register_jitable
def unproject(
    scratch, places, weight, dweight, at, into, stride, dbias, into_bias, m, R, columns, lanes, zero, sums,
    narrow,
):  # fmt: skip
    """Gradients through `project`: of low-rank steps to the sums; dweight and dbias are added to."""
    at_in, at_sums = places[4:6]
    for j in range(m):
        add(dbias, into_bias, load(scratch, j * lanes, zero))
    for r in range(R):
        w, dw = load(weight, at + r * stride, zero), load(dweight, into + r * stride, zero)
        for j in range(m):
            dz = load(scratch, j * lanes, zero)
            accumulate(scratch, at_sums + (j * columns + r) * narrow, dz, w, sums)
            dw = fma_scalar(dz, scratch[at_in + j * columns + r], dw)
        store(dweight, into + r * stride, dw)


@register_jitable
def sum_up(scratch, at_sums, selected, base, stride, order, columns, sums, narrow, add):
    """The sums over lanes, into `selected` or, if `add`, added to what is there."""
    for j in range(len(order)):
        into = base + order[j] * stride
        for column in range(columns):
            total = total_of(scratch, at_sums + (j * columns + column) * narrow, sums)
            selected[into + column] = selected[into + column] + total if add else total
