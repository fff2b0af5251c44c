"""What is used of other packages' private interfaces: each in one place, and here in words.

A test of this file that fails after an upgrade names the place to mend.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import Channel
from grpclib.exceptions import GRPCError

from glihamba import settings
from glihamba.daemon.server import Daemon
from glihamba_client import grpclib_api
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.harmonizer_grpc import HarmonizerStub
from glihamba_proto.messages import ERROR_KEY, NOTE_KEY

REPOSITORY = Path(__file__).resolve().parent.parent
BACKEND, CLIENT = REPOSITORY / "backend" / "glihamba", REPOSITORY / "plugins" / "shared" / "glihamba_client"
NUMBA, PYVIPS, GRPCLIB = "ops/cpu/numba_api.py", "image_files.py", "grpclib_api.py"
GRPCLIB_NAMES = {"_transport", "_stream", "grpclib.metadata", "grpclib.protocol"}


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


def test_grpclib_s_private_names_are_used_in_one_place() -> None:
    found = set()
    for path in sorted(CLIENT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = {getattr(node, field, None) for field in ("attr", "module", "value", "name")}
            if GRPCLIB_NAMES & {name for name in names if isinstance(name, str)}:
                found.add(path.relative_to(CLIENT).as_posix())
    assert found == {GRPCLIB}


def test_grpclib_still_has_the_socket_and_the_metadata(own_home: Path) -> None:
    """Both by a real call: one that the daemon refuses, whose trailers say why."""
    mend = f"mend {GRPCLIB}: grpclib has moved or changed"

    async def refused(host: str, port: int) -> tuple[Any, list[Mapping[str, Any]]]:
        channel = Channel(host, port)
        try:
            async with HarmonizerStub(channel).ListModels.open() as stream:
                await stream.send_message(pb.ListModelsRequest(), end=True)
                line = grpclib_api.socket_of(stream)
                with suppress(GRPCError):
                    await stream.recv_initial_metadata()
                    await stream.recv_trailing_metadata()
                return line, list(grpclib_api.metadata_of(stream))
        finally:
            channel.close()

    with Daemon(settings.in_force(device="cpu")) as daemon:
        line, metadata = asyncio.run(refused(daemon.host, daemon.port))
    assert hasattr(line, "setsockopt"), f"{mend} the connection's socket"
    assert any(known.get(ERROR_KEY) == "BAD_TOKEN" for known in metadata), (
        f"{mend} what a stream has received"
    )
    assert any(isinstance(known.get(NOTE_KEY), bytes) for known in metadata), f"{mend} decode_metadata"


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
    """Use every function that relies on numba's internals: read, write, mask, fold and tuples of arrays."""
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
