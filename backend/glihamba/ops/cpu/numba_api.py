"""All that the vector operations need of numba beyond its documented interface.

`numba.core.cgutils` and the methods of a typing or lowering context have no promise of stability. Whatever a
new numba moves is mended here; `tests/test_private_apis.py` says what it was.
"""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
from numba.core import cgutils


def llvm_intrinsic(b: Any, name: str, result: Any, *args: Any) -> Any:
    """Call LLVM's intrinsic `llvm.NAME` on values."""
    kind = ir.FunctionType(result, [a.type for a in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, f"llvm.{name}"), args)


def stack_slot(b: Any, kind: Any) -> Any:
    """Room for one value of an LLVM type, made once a call however often the code runs."""
    return cgutils.alloca_once(b, kind)


def array_data(context: Any, b: Any, kind: Any, array: Any) -> Any:
    """Where the elements of an array argument begin."""
    return context.make_array(kind)(context, b, array).data


def no_value(context: Any) -> Any:
    """What an intrinsic that returns nothing gives."""
    return context.get_dummy_value()


def tuple_of(context: Any, b: Any, kind: Any, values: tuple[Any, ...]) -> Any:
    """A tuple of LLVM values."""
    return context.make_tuple(b, kind, values)


def literal(kind: Any) -> int:
    """The number that an argument's literal type stands for."""
    return int(kind.literal_value)
