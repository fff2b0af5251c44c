"""What is used of other packages' private interfaces: each in one place, and here in words.

A test of this file that fails after an upgrade names the place to mend.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BACKEND = Path(__file__).resolve().parent.parent / "backend" / "glihamba"
NUMBA, PYVIPS = "ops/cpu/numba_api.py", "image_files.py"


def private_names(package: str) -> Iterator[tuple[str, str]]:
    """(file, what it uses) for every private module or attribute of a package."""
    for path in sorted(BACKEND.rglob("*.py")):
        file = path.relative_to(BACKEND).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.core"):
                yield from ((file, f"{node.module}.{alias.name}") for alias in node.names)
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == package
                and node.attr.startswith("_")
            ):
                yield file, f"{package}.{node.attr}"


@pytest.mark.parametrize(("package", "place"), [("numba", NUMBA), ("pyvips", PYVIPS)])
def test_private_names_are_used_in_one_place(package: str, place: str) -> None:
    found = list(private_names(package))
    assert {file for file, _ in found} == {place}, found


def test_numba_still_has_what_the_vectors_are_made_of() -> None:
    from numba.core import base, cgutils, types

    mend = f"mend {NUMBA}: numba has moved or changed"
    parameters: dict[Any, list[str]] = {
        cgutils.get_or_insert_function: ["module", "fnty", "name"],
        cgutils.alloca_once: ["builder", "ty"],
    }
    for function, names in parameters.items():
        assert list(inspect.signature(function).parameters)[: len(names)] == names, f"{mend} {function}"
    for method in ("make_array", "make_tuple", "get_dummy_value"):
        assert hasattr(base.BaseContext, method), f"{mend} BaseContext.{method}"
    assert types.literal(4).literal_value == 4, f"{mend} literal types"


def test_numba_s_internals_compile_a_vector() -> None:
    """Every function of the one place at work: an array read, written, masked, folded, in a tuple."""
    import numba
    import numpy as np

    from glihamba.ops.cpu import vector

    njit: Any = numba.njit  # inside a compiled function the names are the compiler's, not Python's
    v: Any = vector

    @njit
    def run(x: Any, out: Any) -> None:
        zero = v.zeros(4)
        value, slope = v.softplus_and_slope(v.load_some(x, 0, 3, zero))
        v.store(out, 0, value)
        v.store_some(out, 4, slope, 3)

    out = np.full(8, -1, np.float32)
    run(np.zeros(4, np.float32), out)
    np.testing.assert_allclose(out, [np.log(2)] * 4 + [0.5] * 3 + [-1], rtol=1e-6)


def test_pyvips_s_log_handler_can_still_be_removed() -> None:
    import pyvips

    assert callable(getattr(pyvips, "_remove_log_handler", None)), f"mend {PYVIPS}: pyvips has moved it"
