"""The names and numbers of planes, the rules of a request, and the endpoint file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glihamba_proto import checks, endpoint, formats
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.messages import Note


def test_the_numbers_are_the_contract_s() -> None:
    tables: list[tuple[Mapping[Any, Any], Any]] = [
        (formats.SAMPLES, pb.Plane.SampleType),
        (formats.CHANNELS, pb.Plane.Channels),
        (formats.TRANSFERS, pb.Plane.Transfer),
        (formats.ROLES, pb.Plane.Role),
    ]
    for table, enum in tables:
        ours = {name.upper(): entry.number for name, entry in table.items()}
        theirs = {name: number for name, number in enum.items() if number and name != "RESULT"}
        assert ours == theirs
        for name, entry in table.items():
            assert formats.name_of(table, entry.number) == name
        assert formats.name_of(table, 99) is None
    assert formats.transfer_of(pb.Plane.TRANSFER_UNSPECIFIED) == "srgb"


def test_how_long_a_plane_is() -> None:
    assert formats.byte_count((60, 40), "uint16", "rgba") == 60 * 40 * 4 * 2
    assert formats.byte_count((1, 1), "float32", "gray") == 4


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (checks.planes({"composite": 1, "mask": 1}), None),
        (checks.planes({"composite": 1}), "BAD_REQUEST.PLANES_EXACTLY_ONE"),
        (checks.planes({"composite": 1, "mask": 1, "foreground": 2}), "BAD_REQUEST.PLANES_AT_MOST_ONE"),
        (checks.sample_type("mask", "uint8", "uint8"), None),
        (checks.sample_type("mask", None, "#9"), "BAD_REQUEST.SAMPLE_TYPE"),
        (checks.channels("mask", "gray", "GRAY"), None),
        (checks.channels("mask", "rgb", "RGB"), "BAD_REQUEST.CHANNELS"),
        (checks.channels("composite", "gray", "GRAY"), "BAD_REQUEST.CHANNELS"),
        (checks.transfer("composite", "linear", "linear"), None),
        (checks.transfer("composite", None, "#5"), "BAD_REQUEST.TRANSFER"),
        (checks.same_transfer("srgb", "linear"), "BAD_REQUEST.TRANSFERS_DIFFER"),
        (checks.size("mask", (3, 4), 12), None),
        (checks.size("mask", (3, 4), 11), "TOO_LARGE"),
        (checks.size("mask", (0, 4), 11), "BAD_REQUEST.NO_PIXELS"),
        (checks.same_size((3, 4), (3, 4)), None),
        (checks.same_size((3, 4), (4, 3)), "SIZE_MISMATCH"),
        (checks.same_offset((0, 0), (0, 1)), "BAD_REQUEST.OFFSETS_DIFFER"),
        (checks.strength(0.5), None),
        (checks.strength(-0.1), "BAD_REQUEST.STRENGTH"),
        (checks.strength(math.nan), "BAD_REQUEST.STRENGTH"),
        (checks.coverage(0, 255, 255), None),
        (checks.coverage(0, 0, 255), "EMPTY_MASK"),
        (checks.coverage(255, 255, 255), "FULL_MASK"),
        (checks.finite("mask", True), None),
        (checks.finite("mask", False), "NOT_FINITE"),
    ],
)
def test_the_rules_of_a_request(problem: Note | None, message: str | None) -> None:
    assert (problem and problem.message) == message


def test_the_endpoint_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    written = Endpoint("127.0.0.1", 43817, "s3cret", "an instance", 4711, "0.1.0", 1, 2.5)
    endpoint.write(path, written)
    assert endpoint.read(path) == written
    assert "s3cret" not in repr(written)
    assert [each.name for each in tmp_path.iterdir()] == ["endpoint.json"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    endpoint.remove(path, "another")
    assert path.exists()
    endpoint.remove(path, "an instance")
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [{"port": 0}, {"port": "http"}, {"token": None, "port": 1 << 16}, {"instance": ""}, {"host": ...}],
)
def test_a_damaged_endpoint_file_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    table = {"host": "127.0.0.1", "port": 1, "token": "t", "instance": "i", "pid": 1, "from the future": []}
    table |= change
    path = tmp_path / "endpoint.json"
    path.write_text(json.dumps({name: value for name, value in table.items() if value is not ...}), "utf-8")
    assert endpoint.read(path) is None
    path.write_text("[]")
    assert endpoint.read(path) is None
    assert endpoint.read(tmp_path / "none") is None


def test_an_address() -> None:
    one = Endpoint("127.0.0.1", 80, "")
    assert str(one) == "127.0.0.1:80"
    assert str(replace(one, host="::1")) == "[::1]:80"
    assert one.is_remote
