"""The numba kernels of SS2D on the CPU, and the vector of eight float32 they are written in.

LLVM maps the vector to AVX, AVX-512 or NEON. Plain loops would not do: numba calls a scalar
exponential, and the scan then costs eleven times as much.

One file on purpose: numba keys its disk cache by the content of the file that holds the compiled
function, so a change to the vector must be a change to this file.
"""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from glihamba.ops.reference import DIRECTIONS

LANES = 8
_F = ir.VectorType(ir.FloatType(), LANES)
_I = ir.VectorType(ir.IntType(32), LANES)

# 2**f on [-0.5, 0.5], degree 6, least relative error: 3e-9, so that float32 rounding is all that compounds.
_EXP2 = (
    1.0000000005541685,
    0.6931472057372619,
    0.24022646890620053,
    0.055503287769753995,
    0.00961848895863433,
    0.0013399931215894907,
    0.00015345811593684325,
)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_V = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _F)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_F, [float(np.float32(value))] * LANES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _F.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_F, ir.Undefined)
    zeros = ir.Constant(_I, [0] * LANES)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, zeros)


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    kind = ir.FunctionType(_F, [_F] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(function, [x, y, z])


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """array[index : index + 8], flat float32, any alignment."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_pointer(context, builder, signature.args[0], *args))
        value.align = 4
        return value

    return _V(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + 8] = vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _V), generate


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """Eight copies of a float32."""
    return _V(types.float32), lambda context, builder, signature, args: _splat(builder, args[0])


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z."""
    return _V(_V, _V, _V), lambda context, builder, signature, args: _fma(builder, *args)


@intrinsic
def mul(typing: Any, x: Any, y: Any) -> Any:
    """x * y."""
    return _V(_V, _V), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def exp2(typing: Any, x: Any) -> Any:
    """2**x for x <= 127; below -126 it stays at 2**-126; NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # `limit > x ? limit : x`: the other order would swallow a NaN.
        limit = _constant(-126.0)
        x = builder.select(builder.fcmp_ordered(">", limit, args[0]), limit, args[0])
        # Adding 1.5 * 2**23 rounds to the nearest integer, which then stands in the low bits.
        magic = _constant(12582912.0)
        shifted = builder.fadd(x, magic)
        fraction = builder.fsub(x, builder.fsub(shifted, magic))
        power = _constant(_EXP2[-1])
        for coefficient in _EXP2[-2::-1]:
            power = _fma(builder, power, fraction, _constant(coefficient))
        exponent = builder.shl(builder.bitcast(shifted, _I), ir.Constant(_I, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(power, _I), exponent), _F)

    return _V(_V), generate


_VEC = types.float32[::1]
_INT = types.int64
_ORDER = types.int64[::1]
_COMPILED: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},  # nothing that reorders: the range reduction of exp2 would break
}


@njit(types.void(*[_VEC] * 7, _ORDER, *[_INT] * 5), **_COMPILED)
def forward(x, dt, B, C, A2, h0, y, orders, L, D, N, first, last):
    """Tasks are (picture, channel block). A2 is A log2(e), (K,N,D)."""
    K, blocks = DIRECTIONS, D // LANES
    h = np.empty(N * LANES, np.float32)
    zero = splat(np.float32(0))
    for task in range(first, last):
        b, d = task // blocks, task % blocks * LANES
        for k in range(K):
            for n in range(N):
                store(h, n * LANES, load(h0, ((b * K + k) * N + n) * D + d))
            for step in range(L):
                at = b * L + orders[k * L + step]
                dt_t = load(dt, (at * K + k) * D + d)
                u = mul(dt_t, load(x, at * D + d))
                total = load(y, at * D + d) if k > 0 else zero
                for n in range(N):
                    decay = exp2(mul(dt_t, load(A2, (k * N + n) * D + d)))
                    driven = mul(u, splat(B[(at * K + k) * N + n]))
                    state = fma(decay, load(h, n * LANES), driven)
                    store(h, n * LANES, state)
                    total = fma(state, splat(C[(at * K + k) * N + n]), total)
                store(y, at * D + d, total)


@njit(types.void(*[_VEC] * 14, _ORDER, *[_INT] * 5), **_COMPILED)
def backward(x, dt, B, C, A2, A, h0, dy, dx, ddt, dB, dC, dA, dh0, orders, L, D, N, first, last):
    """Tasks are pictures. dA has a leading picture axis, dx is written by direction 0 and added to after."""
    K = DIRECTIONS
    row = N * LANES
    states = np.empty((L + 1) * row, np.float32)  # h before the first step, then after each
    adjoint = np.empty(row, np.float32)
    wide_dB = np.empty(L * row, np.float32)  # lanes are summed once, after all channel blocks
    wide_dC = np.empty(L * row, np.float32)
    zero = splat(np.float32(0))
    for b in range(first, last):
        for k in range(K):
            wide_dB[:] = 0
            wide_dC[:] = 0
            for d in range(0, D, LANES):
                for n in range(N):
                    store(states, n * LANES, load(h0, ((b * K + k) * N + n) * D + d))
                    store(adjoint, n * LANES, zero)
                for step in range(L):
                    at = b * L + orders[k * L + step]
                    dt_t = load(dt, (at * K + k) * D + d)
                    u = mul(dt_t, load(x, at * D + d))
                    for n in range(N):
                        decay = exp2(mul(dt_t, load(A2, (k * N + n) * D + d)))
                        driven = mul(u, splat(B[(at * K + k) * N + n]))
                        state = fma(decay, load(states, step * row + n * LANES), driven)
                        store(states, (step + 1) * row + n * LANES, state)
                for step in range(L - 1, -1, -1):
                    at = b * L + orders[k * L + step]
                    dt_t, x_t = load(dt, (at * K + k) * D + d), load(x, at * D + d)
                    u, dy_t = mul(dt_t, x_t), load(dy, at * D + d)
                    du, d_dt = zero, zero
                    for n in range(N):
                        lane, parameter = n * LANES, (k * N + n) * D + d
                        g = fma(dy_t, splat(C[(at * K + k) * N + n]), load(adjoint, lane))
                        here = step * row + lane
                        store(wide_dC, here, fma(dy_t, load(states, here + row), load(wide_dC, here)))
                        store(wide_dB, here, fma(g, u, load(wide_dB, here)))
                        du = fma(g, splat(B[(at * K + k) * N + n]), du)
                        g = mul(g, exp2(mul(dt_t, load(A2, parameter))))
                        store(adjoint, lane, g)
                        exponent = mul(g, load(states, here))  # gradient of dt A
                        d_dt = fma(exponent, load(A, parameter), d_dt)
                        into = b * K * N * D + parameter
                        store(dA, into, fma(exponent, dt_t, load(dA, into)))
                    before = load(dx, at * D + d) if k > 0 else zero
                    store(dx, at * D + d, fma(du, dt_t, before))
                    store(ddt, (at * K + k) * D + d, fma(du, x_t, d_dt))
                for n in range(N):
                    store(dh0, ((b * K + k) * N + n) * D + d, load(adjoint, n * LANES))
            for step in range(L):
                at = b * L + orders[k * L + step]
                for n in range(N):
                    sum_B, sum_C = np.float32(0), np.float32(0)
                    for lane in range(LANES):
                        sum_B += wide_dB[step * row + n * LANES + lane]
                        sum_C += wide_dC[step * row + n * LANES + lane]
                    dB[(at * K + k) * N + n] = sum_B
                    dC[(at * K + k) * N + n] = sum_C
