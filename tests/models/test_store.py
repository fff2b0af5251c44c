"""Weights on disk: loaded weights are verified, and files are never lost."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from glihamba import networks
from glihamba.errors import BadRequest, ModelDamaged, ModelNotInstalled, UnknownModel
from glihamba.models import load, registry, store
from glihamba.models.registry import Record

ARCHITECTURE = "glihamba-tiny"
CONTENT = safetensors.torch.save({"w": torch.arange(300_000, dtype=torch.float32)})


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def record_of(content: bytes, source: str = registry.LOCAL, name: str = "mine") -> Record:
    return Record(
        name=name,
        title="Mine",
        description="A test's own.",
        architecture=ARCHITECTURE,
        licence="MIT",
        training_data="none",
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def install(content: bytes, record: Record | None = None) -> Record:
    record = record or record_of(content)
    path = registry.weights_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_suffix(".json").write_text(record.to_json(), "utf-8")
    return record


def published(tmp_path: Path, **change: Any) -> tuple[Path, Record, torch.nn.Module]:
    """A weights file as training writes it, its record and its network."""
    network = networks.build(ARCHITECTURE)
    draft = replace(record_of(b"", registry.PACKAGE), sha256="", bytes=0, **change)
    path = tmp_path / "published" / f"{draft.name}.safetensors"
    return path, store.save(path, network.state_dict(), draft), network


# --- loading -------------------------------------------------------------------------------------


def test_weights_are_opened_as_they_were_saved() -> None:
    tensors = store.open_weights(install(CONTENT))
    assert torch.equal(tensors["w"], torch.arange(300_000, dtype=torch.float32))


def test_missing_weights_name_the_command() -> None:
    record = record_of(CONTENT, "https://example.org/mine.safetensors")
    with pytest.raises(ModelNotInstalled) as caught:
        store.open_weights(record)
    assert str(caught.value) == (
        "The weights of “mine” are not on this machine yet. Run “glihamba models download mine”."
    )


def test_truncated_weights_are_damaged() -> None:
    record = install(CONTENT)
    registry.weights_path(record).write_bytes(CONTENT[:1000])
    with pytest.raises(
        ModelDamaged, match=r"'mine' are cut short: 1,000 bytes of 1,200,0\d\d\. Remove it and add"
    ):
        store.open_weights(record)


def test_one_flipped_bit_is_damage() -> None:
    record = install(CONTENT)
    flipped = bytearray(CONTENT)
    flipped[-1] ^= 1
    registry.weights_path(record).write_bytes(flipped)
    with pytest.raises(ModelDamaged, match="'mine' are damaged: their SHA-256 is not the record's") as raised:
        store.open_weights(record)
    assert raised.value.sentence("de").startswith(
        "Die Gewichte von „mine“ sind beschädigt. Führen Sie „glihamba models remove mine“ aus, und fügen"
    )


class Bomb:
    """An object whose unpickling writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("make", ["zip", "legacy", "bare"])
def test_a_pickle_is_refused_unopened_even_with_the_right_hash(make: str, tmp_path: Path) -> None:
    bomb, target = tmp_path / "bomb.safetensors", tmp_path / "exploded"
    if make == "bare":
        bomb.write_bytes(pickle.dumps(Bomb(target)))
    else:
        torch.save(Bomb(target), bomb, _use_new_zipfile_serialization=make == "zip")
    record = install(bomb.read_bytes())
    with pytest.raises(ModelDamaged, match=r"'mine' is a PyTorch pickle.*so it was not opened"):
        store.open_weights(record)
    with pytest.raises(ModelDamaged, match=r"'bomb.safetensors' is a PyTorch pickle"):
        store.add(bomb, architecture=ARCHITECTURE)
    assert not target.exists()


def test_a_file_that_is_no_safetensors_is_refused() -> None:
    with pytest.raises(ModelDamaged, match="are not a safetensors file"):
        store.open_weights(install(b"\x10" + b"\0" * 7 + b"not a header at all"))


def test_load_gives_the_saved_network_in_eval_mode(tmp_path: Path) -> None:
    path, _, network = published(tmp_path)
    store.add(path)
    loaded = load("mine")
    assert not loaded.training
    expected = network.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())


def test_every_installed_record_loads_and_harmonizes() -> None:
    for record in registry.records():
        network = load(record.name)
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., 16:48, 16:48] = 1
        composite = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            harmonized = network(composite, mask)
        assert harmonized.shape == composite.shape
        assert torch.isfinite(harmonized).all()
        assert torch.equal(harmonized * (1 - mask), composite * (1 - mask))


def test_weights_of_another_network_are_refused() -> None:
    install(CONTENT)
    with pytest.raises(ModelDamaged, match=f"'mine' do not fit the network '{ARCHITECTURE}'"):
        load("mine")


def test_a_configuration_this_version_does_not_know_is_refused() -> None:
    install(CONTENT, replace(record_of(CONTENT), config={"no_such_part": 3}))
    with pytest.raises(ModelDamaged, match=r"record of 'mine' does not fit this GLIHamba.*Update GLIHamba"):
        load("mine")


# --- saving and adding ---------------------------------------------------------------------------


def test_saving_writes_the_record_inside_and_beside(tmp_path: Path) -> None:
    path, record, _ = published(tmp_path)
    assert record.bytes == path.stat().st_size
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Record.from_json(path.with_suffix(".json").read_text("utf-8")) == record
    with safetensors.safe_open(path, framework="pt") as file:
        inside = Record.from_json(file.metadata()["glihamba"])
    assert replace(inside, sha256=record.sha256, bytes=record.bytes) == record
    assert not list(path.parent.glob("*.part"))


def test_adding_copies_and_registers(tmp_path: Path) -> None:
    path, record, _ = published(tmp_path)
    added = store.add(path, name="renamed")
    assert added == replace(record, name="renamed", source=registry.LOCAL)
    assert registry.get("renamed") == added
    assert registry.weights_path(added).read_bytes() == path.read_bytes()


def test_adding_a_file_without_description_needs_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "My Weights.safetensors"
    safetensors.torch.save_file(networks.build(ARCHITECTURE).state_dict(), path)
    with pytest.raises(
        BadRequest, match=r"My Weights.safetensors does not say .* name it with --architecture"
    ):
        store.add(path)
    assert store.add(path, architecture=ARCHITECTURE).name == "my-weights"
    load("my-weights")


def test_a_name_that_is_taken_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path, _, _ = published(tmp_path)
    first = store.add(path)
    for name in ("mine", "statistics"):
        with pytest.raises(BadRequest, match=f"There already is a model called '{name}'"):
            store.add(path, name=name)
    assert registry.get("mine") == first


@pytest.mark.parametrize("name", ["../escape", "Über", ""])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    path, _, _ = published(tmp_path)
    draft = tmp_path / "bare.safetensors"
    draft.write_bytes(path.read_bytes())
    if name:
        with pytest.raises(BadRequest, match="is not a name"):
            store.add(draft, name=name)
    else:
        with pytest.raises(BadRequest, match=r"There is no file .*nothing\.safetensors"):
            store.add(tmp_path / "nothing.safetensors")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, data_folder: Path) -> None:
    path, _, _ = published(tmp_path)
    data_folder.write_text("in the way")
    with pytest.raises(store.CannotWrite) as raised:
        store.add(path)
    assert str(raised.value).startswith(f"{data_folder / 'models'} cannot be written (")
    assert str(raised.value).endswith(
        "): correct its permissions, or name another data folder. What was there is unharmed."
    )
    assert data_folder.read_text() == "in the way"


def test_what_does_not_load_is_not_added(tmp_path: Path, data_folder: Path) -> None:
    other, short = tmp_path / "other.safetensors", tmp_path / "short.safetensors"
    other.write_bytes(CONTENT)
    short.write_bytes(CONTENT[:500])
    with pytest.raises(ModelDamaged, match="do not fit the network") as raised:
        store.add(other, architecture=ARCHITECTURE)
    assert len(str(raised.value)) < 300
    with pytest.raises(ModelDamaged, match=r"'short\.safetensors' is not a whole safetensors file"):
        store.add(short, architecture=ARCHITECTURE)
    assert not [p for p in data_folder.rglob("*") if p.suffix in (".json", ".safetensors", ".part")]


def test_removing(tmp_path: Path) -> None:
    path, _, _ = published(tmp_path)
    added = store.add(path)
    assert store.remove("mine") == added
    assert not registry.weights_path(added).exists()
    with pytest.raises(UnknownModel):
        registry.get("mine")
    with pytest.raises(BadRequest, match="'statistics' is part of GLIHamba and cannot be removed"):
        store.remove("statistics")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
@pytest.mark.slow
def test_a_disk_that_fills_up_while_adding_leaves_nothing_behind(tmp_path: Path, data_folder: Path) -> None:
    """A limit on the file size stands in for a full disk."""
    path, _, _ = published(tmp_path)
    code = f"""
import resource
from pathlib import Path
from glihamba.models import store
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.add(Path({str(path)!r}))
except store.CannotWrite as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("The disk is full: make room in"), done.stderr
    assert not [p for p in data_folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
