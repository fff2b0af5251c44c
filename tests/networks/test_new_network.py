"""A new network is one new file: here one outside the package, built, saved, loaded and harmonizing."""

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

SOURCE = '''
"""A gain for each channel, predicted from the mean colours of the object and its scene."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glihamba.networks.architectures import network
from glihamba.networks.base import Harmonizer
from glihamba.networks.moments import weighted_moments


@dataclass(frozen=True)
class SampleConfig:
    """width: of the hidden layer."""

    width: int = 16
    working_size: int = 64


@network("sample", sizes={"sample-tiny": {"width": 4}})
class Sample(Harmonizer):
    paper = "Nobody (2026)"
    Config = SampleConfig

    def __init__(self, config: SampleConfig) -> None:
        super().__init__()
        self.config, self.working_size = config, config.working_size
        self.gain = nn.Sequential(nn.Linear(6, config.width), nn.ReLU(), nn.Linear(config.width, 3))

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        means = [weighted_moments(composite, weight)[0].flatten(1) for weight in (mask, 1 - mask)]
        gain = self.gain(torch.cat(means, 1))[..., None, None]
        return composite + mask * gain.tanh() * composite
'''


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file `sample.py`, in a folder that joins the package's own."""
    names()  # the package's own are registered for good
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "sample.py").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(glihamba.networks, "__path__", [*glihamba.networks.__path__, str(folder)])
    monkeypatch.setattr(architectures, "_named", dict(architectures._named))
    architectures._all.cache_clear()
    yield
    monkeypatch.undo()
    sys.modules.pop("glihamba.networks.sample", None)
    architectures._all.cache_clear()


def test_one_file_is_all_that_a_new_network_needs(
    sample: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    assert names("sample") == ("sample", "sample-tiny")
    assert settings_of("sample") == ("width", "working_size")
    torch.manual_seed(0)
    network = build("sample-tiny").eval()
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
    assert (type(again), again.config) == (class_of("sample"), network.config)
    composite = np.full((80, 90, 3), 120, np.uint8)
    mask = np.zeros((80, 90), np.uint8)
    mask[20:50, 30:60] = 255
    harmonized = harmonize(composite, mask, again).pixels
    assert (harmonized[mask > 0] != 120).any()
    assert (harmonized[mask == 0] == 120).all()


def test_its_name_is_gone_with_it() -> None:
    with pytest.raises(UnknownModel):
        build("sample")


def test_a_name_is_registered_once() -> None:
    build("frih")
    with pytest.raises(ValueError, match='Two networks are called "frih"'):
        architectures.network("frih")(class_of("hdnet"))


def test_the_package_is_imported_without_torch() -> None:
    program = "import sys, json, glihamba.networks; print(json.dumps('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
