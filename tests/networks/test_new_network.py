"""A new network is one new file: the sample network is built, saved, loaded and used."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import glihamba.networks
from glihamba.errors import UnknownModel
from glihamba.models import load, store
from glihamba.models.registry import LOCAL, Record
from glihamba.networks import architectures, build, class_of, names, settings_of
from glihamba.pipeline.harmonize import harmonize

SAMPLE = Path(__file__).parents[2] / "examples" / "network"


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sample's folder joins the package's own."""
    names()  # the package's own are registered for good
    monkeypatch.setattr(glihamba.networks, "__path__", [*glihamba.networks.__path__, str(SAMPLE)])
    monkeypatch.setattr(architectures, "_named", dict(architectures._named))
    architectures._all.cache_clear()
    yield
    monkeypatch.undo()
    sys.modules.pop("glihamba.networks.gain_shift", None)
    architectures._all.cache_clear()


def test_one_file_is_all_that_a_new_network_needs(
    sample: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    assert names("gain-shift") == ("gain-shift",)
    assert settings_of("gain-shift") == ("hidden", "working_size")
    torch.manual_seed(0)
    network = build("gain-shift", hidden=4).eval()
    torch.nn.init.normal_(network.get_parameter("answer.weight"))
    record = Record(
        name="mine",
        title="Mine",
        description="Fresh weights.",
        architecture=network.architecture,
        config=dataclasses.asdict(network.config),
        licence="MIT",
        training_data="none",
        source=LOCAL,
        paper=network.paper,
    )
    store.save(tmp_path / "mine.safetensors", network.state_dict(), record)
    store.add(tmp_path / "mine.safetensors")

    again = load("mine")
    assert (type(again), again.config) == (class_of("gain-shift"), network.config)
    composite = np.full((80, 90, 3), (150, 120, 90), np.uint8)
    mask = np.zeros((80, 90), np.uint8)
    mask[20:50, 30:60] = 255
    harmonized = harmonize(composite, mask, again).pixels
    changed = (harmonized != composite).any(2)
    assert changed[mask > 0].any()
    assert not changed[mask == 0].any()


def test_its_name_is_gone_with_it() -> None:
    with pytest.raises(UnknownModel):
        build("gain-shift")


def test_a_name_is_registered_once() -> None:
    build("frih")
    with pytest.raises(ValueError, match='Two networks are called "frih"'):
        architectures.network("frih")(class_of("hdnet"))


def test_the_package_is_imported_without_torch() -> None:
    program = "import sys, json, glihamba.networks; print(json.dumps('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
