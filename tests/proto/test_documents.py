"""JSON of strangers: whatever is wrong with it is a ValueError, and the readers of our files survive it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glihamba_client.errors import ClientError
from glihamba_client.settings import read as read_settings
from glihamba_proto import documents, endpoint

BAD = [
    b"",
    b"{",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"9" * 10_000,
    b"-" + b"9" * 30,
    b"1e999",
    b"NaN",
    b"Infinity",
    b'"\\ud800"',
    b"\xff\xfe{\x00}\x00",
    b'{"a": "\xc3\x28"}',
    b" " * (documents.LONGEST + 1),
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_bad_json_is_a_value_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        documents.read(path)
    assert endpoint.read(path) is None
    with pytest.raises(ClientError) as refused:
        read_settings(path)
    assert refused.value.code == "SETTINGS_DAMAGED"


def test_good_json_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00 ä"]}', "utf-8")
    assert documents.read(path) == {"a": [1, -2500.0, True, None, "😀 ä"]}


@pytest.mark.parametrize(
    "harm",
    [
        '"port": 1e300',
        '"port": [1]',
        '"pid": "x"',
        '"port": 99999',
        '"host": {}',
        '"socket": 5',
        '"token": null',
    ],
)
def test_an_endpoint_of_strange_values(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "endpoint.json"
    good = '{"host": "127.0.0.1", "port": 5, "token": "t", "instance": "i", "pid": 1'
    path.write_text(good + "}")
    assert endpoint.read(path) is not None
    path.write_text(f"{good}, {harm}}}")
    found = endpoint.read(path)
    assert found is None or isinstance(found.port, int)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_in_place_of_a_file_does_not_make_us_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert endpoint.read(path) is None
        with pytest.raises(ClientError):
            read_settings(path)
