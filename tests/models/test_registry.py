"""The models of the registry, and the message for an unknown name."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from glihamba.errors import UnknownModel
from glihamba.models import registry
from glihamba.models.registry import BadRecord, Record

RECORD = Record(
    name="mine",
    title="Mine",
    description="A test's own.",
    architecture="glihamba-tiny",
    licence="MIT",
    training_data="none",
    source="local",
    sha256="0" * 64,
    bytes=1,
    metrics={"strict, two pictures": {"psnr": 30.5}},
)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path))
    return tmp_path


def put(record: Record) -> Path:
    path = registry.user_folder() / f"{record.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(record.to_json(), "utf-8")
    return path


def test_every_shipped_record_is_readable_and_whole() -> None:
    found = {record.name: record for record in registry.records()}
    assert {path.stem for path in registry.PACKAGED.glob("*.json")} == found.keys()
    assert {"statistics", "statistics-full"} <= found.keys()
    for record in found.values():
        assert record.title
        assert record.description
        assert record.licence
        assert record.training_data
        if record.source == registry.PACKAGE:
            path = registry.weights_path(record)
            assert path.stat().st_size == record.bytes <= 10_000_000
            assert registry.is_installed(record)


def test_the_default_comes_first_and_needs_no_download() -> None:
    first = registry.records()[0]
    assert first.name == registry.DEFAULT
    assert registry.is_installed(first)
    assert registry.get("") == first


def test_a_record_survives_json_and_cannot_be_changed() -> None:
    assert Record.from_json(RECORD.to_json()) == RECORD
    with pytest.raises(FrozenInstanceError):
        RECORD.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "not a JSON table"),
        ("{", "not JSON"),
        (RECORD.to_json().replace('"mine"', '"../mine"'), "'../mine' is not a name"),
        (
            RECORD.to_json().replace('"title"', '"titel"'),
            "unknown entry 'titel': it may be from a newer GLIHamba",
        ),
        (RECORD.to_json().replace('  "licence": "MIT",\n', ""), "'licence' is missing"),
        (RECORD.to_json().replace('"bytes": 1', '"bytes": -1'), "'bytes' must be a whole number"),
        (RECORD.to_json().replace('"title": "Mine"', '"title": 5'), "'title' must be text"),
        (RECORD.to_json().replace('"config": {}', '"config": []'), "'config' and 'metrics' must be tables"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(BadRecord) as caught:
        Record.from_json(text)
    assert words in str(caught.value)


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownModel) as caught:
        registry.get("statistic")
    assert str(caught.value) == (
        "There is no model called “statistic”. Did you mean statistics, statistics-full? "
        "“glihamba models list” shows those there are."
    )
    with pytest.raises(UnknownModel, match=r"There is no model called “zzz”\. Known: .*statistics"):
        registry.get("zzz")


def test_an_added_record_is_listed_and_not_installed_without_its_file() -> None:
    put(RECORD)
    assert registry.get("mine") == RECORD
    assert not registry.is_installed(RECORD)
    registry.weights_path(RECORD).write_bytes(b"x")
    assert registry.is_installed(RECORD)


def test_an_added_record_never_replaces_one_that_ships(caplog: pytest.LogCaptureFixture) -> None:
    put(replace(RECORD, name="statistics", title="Impostor"))
    with caplog.at_level(logging.WARNING):
        assert registry.get("statistics").title != "Impostor"
    assert "'statistics' is passed over: a model of that name ships with GLIHamba" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "abc"}, "do not describe a weights file"),
        ({"source": "package"}, "claims to ship with the package"),
    ],
)
def test_a_broken_added_record_is_passed_over_and_the_rest_still_listed(
    change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(replace(RECORD, **change))
    put(replace(RECORD, name="whole"))
    (registry.user_folder() / "half.json").write_text('{"name": "ha', "utf-8")
    with caplog.at_level(logging.WARNING):
        names = [record.name for record in registry.records()]
    assert "whole" in names
    assert "mine" not in names
    assert words in caplog.text
    assert "half.json is passed over: not JSON" in caplog.text


def test_where_weights_come_from_is_said_in_words() -> None:
    assert registry.get("statistics").source_text == "needs no weights"
    assert RECORD.source_text == "added from a file"
    assert replace(RECORD, source="package").source_text == "ships with the package"
    address = replace(RECORD, source="https://example.org/mine.safetensors")
    assert address.url == address.source_text == "https://example.org/mine.safetensors"


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from glihamba.models import registry; registry.records();"
        "print([m for m in ('torch', 'numpy', 'requests', 'safetensors') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://example.org/mine.safetensors", "run `glihamba models download mine`"),
        ("package", "repair the installation with `python install.py`"),
        ("local", "run `glihamba models remove mine`, then add its file again"),
    ],
)
def test_missing_weights_have_a_remedy_that_works(source: str, words: str) -> None:
    assert registry.how_to_install(replace(RECORD, source=source)) == words
