"""Model files of strangers: no header makes the command hang, crash, or take gigabytes."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from glihamba.errors import BadRequest, ModelDamaged
from glihamba.models import registry, store


@pytest.fixture
def data_folder(own_home: Path) -> Path:
    return own_home


RECORD = {
    "name": "theirs",
    "title": "Theirs",
    "description": "A model of a stranger's.",
    "architecture": "glihamba",
    "licence": "none",
    "training_data": "none",
    "source": "local",
}


def file_of(path: Path, tensors: dict[str, Any], record: Any, rest: bytes = bytes(4)) -> Path:
    """A safetensors file with a header of one's choice. record: text, or a table that becomes JSON."""
    text = record if isinstance(record, str) else json.dumps(record)
    header = json.dumps({"__metadata__": {"glihamba": text}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + rest)
    return path


def tensor(*shape: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "config",
    [
        {"widths": [40_000, 40_000, 40_000, 40_000]},
        {"depths": [60_000, 60_000, 60_000, 60_000]},
        {"working_size": 10**9},
        {"widths": [96] * 100_000},
        {"nonsuch": 1},
        {"widths": "many"},
        {"widths": [-3, 0, 0, 0]},
        {"widths": {"a": {"b": [1.5]}}},
    ],
)
@pytest.mark.parametrize("architecture", ["glihamba", "unet-vss", "hdnet", "frih"])
def test_a_record_that_asks_for_gigabytes(tmp_path: Path, config: dict[str, Any], architecture: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = file_of(
        tmp_path / "a.safetensors",
        {"w": tensor(1)},
        {**RECORD, "architecture": architecture, "config": config},
    )
    with pytest.raises(ModelDamaged) as refused:
        store.add(path)
    assert len(str(refused.value)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kilobytes"


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.safetensors", {"w": tensor(7, 3)}, {**RECORD, "architecture": "statistics"})
    with pytest.raises(ModelDamaged, match=r"\(w is \(7, 3\), and should be absent\)"):
        store.add(path)


@pytest.mark.parametrize(
    "record",
    [
        "[" * 100_000,
        '{"name": ' + "9" * 5000 + "}",
        '{"a": NaN}',
        '{"bytes": 1e999}',
        '{"title": "\\ud800"}',
        "\x00",
        "[]",
    ],
)
def test_a_description_that_is_no_good_json(tmp_path: Path, record: str) -> None:
    path = file_of(tmp_path / "a.safetensors", {"w": tensor(1)}, record)
    with pytest.raises(BadRequest, match=r"description of a\.safetensors cannot be used"):
        store.add(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 20) + b'{"w": {"shape": 1}} ',
        struct.pack("<Q", 9) + b'{"w":"\xff\xff"}',
        struct.pack("<Q", 28) + b'{"w": {"shape": [' + b"9" * 9 + b"]}}",
    ],
)
def test_a_header_that_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelDamaged):
        store.add(path, architecture="glihamba")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", Path("/dev/zero")):
        with pytest.raises(BadRequest, match="a pipe or a device"):
            store.add(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_records_in_the_store_that_never_end_are_passed_over(tmp_path: Path, data_folder: Path) -> None:
    folder = data_folder / "models"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "long.json").write_text(" " * (2 << 20))
    (folder / "zero.json").symlink_to("/dev/zero")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(registry.records()), daemon=True)
    thread.start()
    thread.join(60)
    assert found


def test_what_a_stranger_wrote_does_not_reach_the_terminal(tmp_path: Path, data_folder: Path) -> None:
    title = "\x1b[2J\x1b]0;owned\x07\u202e evil\x9b31m"
    folder = data_folder / "models"
    folder.mkdir(parents=True)
    record = {**RECORD, "title": title, "description": title, "sha256": "0" * 64, "bytes": 1}
    (folder / "theirs.json").write_text(json.dumps(record))
    bad = tmp_path / "\x1b[31mname.png"
    bad.write_bytes(b"no picture")
    for words in (
        ["models", "list"],
        ["models", "info", "theirs"],
        ["harmonize", str(bad), "--mask", str(bad), "-o", "x.png", "--local"],
    ):
        done = subprocess.run([sys.executable, "-m", "glihamba", *words], capture_output=True, cwd=tmp_path)
        said = done.stdout + done.stderr
        assert b"\\x1b" in said, said
        assert not set(said.decode()) & {"\x1b", "\x07", "\x9b", "\u202e"}, said
