"""Vectors of float32 for numba: the types, and the operations the SS2D kernels are written in.

LLVM maps a vector to AVX-512, AVX or NEON registers, several of them if it is wider. Plain loops would
not do: numba calls a scalar exponential, and the scan then costs eleven times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.extending import intrinsic, models, register_model

from glihamba.ops.cpu.numba_api import array_data, literal, llvm_intrinsic, no_value, stack_slot, tuple_of

_INT = ir.IntType(32)

# 2**f on [-0.5, 0.5], exactly 1 at 0: the error of a decay compounds over all steps that a state remembers.
_EXP2 = (
    1.0,
    0.6931470703437577,
    0.24022336448619916,
    0.055506799352959726,
    0.009666945358257099,
    0.0013266126234071,
)
# log(1 + t) / t on [0, 1]
_LOG1P = (
    0.9999999698773515,
    -0.4999949311239855,
    0.33319096221029626,
    -0.24842977541657044,
    0.191059884706611,
    -0.1366320688988593,
    0.0782254932295166,
    -0.029504957130895296,
    0.005232623982296485,
)


class Vector(types.Type):
    """`lanes` float32, one for each channel of a block."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float32x{lanes}")


class Rows(types.Type):
    """`count` vectors, one for each state; LLVM keeps them in registers."""

    def __init__(self, count: int, lanes: int) -> None:
        self.count, self.lanes = count, lanes
        super().__init__(name=f"float32x{lanes}x{count}")


def _vector(lanes: int, element: Any = None) -> ir.VectorType:
    return ir.VectorType(element or ir.FloatType(), lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(kind.lanes))


@register_model(Rows)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.ArrayType(_vector(kind.lanes), kind.count))


# Used by intrinsics: x, y, z are LLVM values, b is LLVM's builder, `data` points to an array's first element.


def constant(like: Any, value: float) -> ir.Constant:
    return ir.Constant(like.type, [float(np.float32(value))] * like.type.count)


def splat(b: Any, scalar: Any, lanes: int) -> Any:
    undefined = ir.Constant(_vector(lanes, scalar.type), ir.Undefined)
    first = b.insert_element(undefined, scalar, _INT(0))
    return b.shuffle_vector(first, undefined, ir.Constant(_vector(lanes, _INT), [0] * lanes))


def multiply_add(b: Any, x: Any, y: Any, z: Any) -> Any:
    return llvm_intrinsic(b, f"fmuladd.v{x.type.count}f32", x.type, x, y, z)


def _polynomial(b: Any, x: Any, coefficients: Sequence[float]) -> Any:
    value: Any = constant(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = multiply_add(b, value, x, constant(x, coefficient))
    return value


def _at_least(b: Any, limit: Any, x: Any) -> Any:
    """max(limit, x), NaN where x is NaN. The other order of operands would lose the NaN."""
    return b.select(b.fcmp_ordered(">", limit, x), limit, x)


def exp2_of(b: Any, x: Any) -> Any:
    """2**x for x <= 127; below -126 it stays at 2**-126; NaN stays NaN."""
    x = _at_least(b, constant(x, -126.0), x)
    # Adding 1.5 * 2**23 rounds to the nearest integer, which then stands in the low bits.
    magic = constant(x, 12582912.0)
    shifted = b.fadd(x, magic)
    power = _polynomial(b, b.fsub(x, b.fsub(shifted, magic)), _EXP2)
    integers = _vector(x.type.count, _INT)
    exponent = b.shl(b.bitcast(shifted, integers), ir.Constant(integers, [23] * x.type.count))
    return b.bitcast(b.add(b.bitcast(power, integers), exponent), x.type)


def _softplus(b: Any, z: Any) -> tuple[Any, Any]:
    """log(1 + exp(z)) = log1p(t) + max(z, 0), and t = exp(-|z|)."""
    zero = constant(z, 0.0)
    negative = b.select(b.fcmp_ordered("<", z, zero), z, b.fsub(zero, z))
    t = exp2_of(b, b.fmul(negative, constant(z, 1.4426950408889634)))
    return multiply_add(b, _polynomial(b, t, _LOG1P), t, _at_least(b, zero, z)), t


def fold(b: Any, x: Any, lanes: int) -> Any:
    """x summed to a vector of fewer lanes, by halves."""
    while (half := x.type.count // 2) >= lanes:
        parts = [ir.Constant(_vector(half, _INT), list(range(i, i + half))) for i in (0, half)]
        x = b.fadd(*(b.shuffle_vector(x, x, part) for part in parts))
    return x


def data_of(context: Any, b: Any, signature: Any, args: Any, which: int) -> Any:
    return array_data(context, b, signature.args[which], args[which])


def load_at(b: Any, data: Any, index: Any, lanes: int) -> Any:
    value = b.load(b.bitcast(b.gep(data, [index]), _vector(lanes).as_pointer()))
    value.align = 4
    return value


def store_at(b: Any, x: Any, data: Any, index: Any) -> None:
    b.store(x, b.bitcast(b.gep(data, [index]), x.type.as_pointer()), align=4)


def add_at(b: Any, x: Any, data: Any, index: Any) -> None:
    store_at(b, b.fadd(load_at(b, data, index, x.type.count), x), data, index)


def splat_at(b: Any, data: Any, index: Any, lanes: int) -> Any:
    return splat(b, b.load(b.gep(data, [index])), lanes)


def _first(b: Any, count: Any, lanes: int) -> Any:
    numbers = ir.Constant(_vector(lanes, _INT), list(range(lanes)))
    return b.icmp_signed("<", numbers, splat(b, b.trunc(count, _INT), lanes))


# Used by kernels: arrays are flat and may have any alignment; `like` is a value of the type to load.


@intrinsic(prefer_literal=True)
def zeros(typing: Any, lanes: Any) -> Any:
    """A vector of zeros."""
    kind = Vector(literal(lanes))
    return kind(lanes), lambda context, b, signature, args: ir.Constant(_vector(kind.lanes), None)


@intrinsic(prefer_literal=True)
def zero_rows(typing: Any, count: Any, lanes: Any) -> Any:
    """Rows of zeros."""
    kind = Rows(literal(count), literal(lanes))
    zero = ir.Constant(ir.ArrayType(_vector(kind.lanes), kind.count), None)
    return kind(count, lanes), lambda context, b, signature, args: zero


@intrinsic
def load(typing: Any, array: Any, index: Any, like: Any) -> Any:
    """The vector at array[index]."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return load_at(b, data_of(context, b, signature, args, 0), args[1], like.lanes)

    return like(array, types.intp, like), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + lanes] = vector."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        store_at(b, args[2], data_of(context, b, signature, args, 0), args[1])
        return no_value(context)

    return types.void(array, types.intp, vector), generate


@intrinsic
def add(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """array[index : index + lanes] += vector."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        add_at(b, args[2], data_of(context, b, signature, args, 0), args[1])
        return no_value(context)

    return types.void(array, types.intp, vector), generate


@intrinsic
def load_some(typing: Any, array: Any, index: Any, count: Any, like: Any) -> Any:
    """array[index : index + count], zeros behind; whole vectors take a branch of their own, for speed."""
    n = like.lanes

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data, index, count = data_of(context, b, signature, args, 0), args[1], args[2]
        value = stack_slot(b, _vector(n))
        with b.if_else(b.icmp_signed(">=", count, count.type(n)), likely=True) as (whole, part):
            with whole:
                b.store(load_at(b, data, index, n), value)
            with part:
                pointer = b.bitcast(b.gep(data, [index]), _vector(n).as_pointer())
                rest = ir.Constant(_vector(n), None)
                name = f"masked.load.v{n}f32.p0"
                b.store(
                    llvm_intrinsic(b, name, _vector(n), pointer, _INT(4), _first(b, count, n), rest), value
                )
        return b.load(value)

    return like(array, types.intp, types.intp, like), generate


@intrinsic
def store_some(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """array[index : index + count] = vector[:count]."""
    n = vector.lanes

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data, (index, x, count) = data_of(context, b, signature, args, 0), args[1:]
        with b.if_else(b.icmp_signed(">=", count, count.type(n)), likely=True) as (whole, part):
            with whole:
                store_at(b, x, data, index)
            with part:
                pointer = b.bitcast(b.gep(data, [index]), x.type.as_pointer())
                name = f"masked.store.v{n}f32.p0"
                llvm_intrinsic(b, name, ir.VoidType(), x, pointer, _INT(4), _first(b, count, n))
        return no_value(context)

    return types.void(array, types.intp, vector, types.intp), generate


@intrinsic
def load_rows(typing: Any, array: Any, index: Any, stride: Any, like: Any) -> Any:
    """Rows of vectors that begin `stride` floats apart."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data, (at, stride, rows) = data_of(context, b, signature, args, 0), args[1:]
        for n in range(like.count):
            rows = b.insert_value(rows, load_at(b, data, at, like.lanes), n)
            at = b.add(at, stride)
        return rows

    return like(array, types.intp, types.intp, like), generate


@intrinsic
def store_rows(typing: Any, array: Any, index: Any, stride: Any, rows: Any) -> Any:
    """The reverse of `load_rows`."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data, at, stride = data_of(context, b, signature, args, 0), args[1], args[2]
        for n in range(rows.count):
            store_at(b, b.extract_value(args[3], n), data, at)
            at = b.add(at, stride)
        return no_value(context)

    return types.void(array, types.intp, types.intp, rows), generate


@intrinsic
def mul(typing: Any, x: Any, y: Any) -> Any:
    """x * y."""
    return x(x, y), lambda context, b, signature, args: b.fmul(*args)


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z."""
    return x(x, y, z), lambda context, b, signature, args: multiply_add(b, *args)


@intrinsic
def fma_scalar(typing: Any, x: Any, scalar: Any, z: Any) -> Any:
    """x * scalar + z."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return multiply_add(b, args[0], splat(b, args[1], x.lanes), args[2])

    return x(x, types.float32, z), generate


@intrinsic
def softplus(typing: Any, z: Any) -> Any:
    """log(1 + exp(z)), accurate for the smallest results too."""
    return z(z), lambda context, b, signature, args: _softplus(b, args[0])[0]


@intrinsic
def softplus_and_slope(typing: Any, z: Any) -> Any:
    """log(1 + exp(z)) and its derivative."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        value, t = _softplus(b, args[0])
        one = constant(t, 1.0)
        above = b.select(b.fcmp_unordered("<", args[0], constant(t, 0.0)), t, one)
        return tuple_of(context, b, signature.return_type, (value, b.fdiv(above, b.fadd(one, t))))

    return types.UniTuple(z, 2)(z), generate


@intrinsic
def accumulate(typing: Any, array: Any, index: Any, x: Any, y: Any, like: Any) -> Any:
    """array[index : index + like's lanes] += x * y, summed to as many lanes."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        product = fold(b, b.fmul(args[2], args[3]), like.lanes)
        add_at(b, product, data_of(context, b, signature, args, 0), args[1])
        return no_value(context)

    return types.void(array, types.intp, x, y, like), generate


@intrinsic
def total_of(typing: Any, array: Any, index: Any, like: Any) -> Any:
    """The sum of the vector at array[index], always in the same order."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        x = load_at(b, data_of(context, b, signature, args, 0), args[1], like.lanes)
        return b.extract_element(fold(b, x, 1), _INT(0))

    return types.float32(array, types.intp, like), generate
