"""The real daemon with a tiny model that a case can hold up: fixtures for the tests of both editors."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from glihamba import settings
from glihamba.daemon.server import Daemon
from glihamba.engine.runner import Runner


class HeldUp(Runner):
    """The real engine. It begins no job while the file `hold` exists and the job is not cancelled."""

    def __init__(self, wanted: settings.Settings, hold: Path) -> None:
        super().__init__(wanted)
        self.hold = hold

    def run(self, request: Any, progress: Any, cancelled: Callable[[], bool]) -> Any:
        progress("PREPARING", 0.1)
        while self.hold.exists() and not cancelled():
            self.hold.with_name("began").touch()
            time.sleep(0.005)
        if cancelled():
            self.hold.with_name("gave-up").touch()
        return super().run(request, progress, cancelled)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, serve: list[str]) -> Iterator[Path]:
    """The data folder of a person who has chosen the model `tiny`; the environment points to it.

    `serve` is a fixture of each editor's: how a daemon is started from there.
    """
    folder = tmp_path_factory.mktemp("person")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIHAMBA_DATA_DIR", str(folder))
        patch.setenv("GLIHAMBA_EXIT_MINUTES", "5")
        add_tiny_model(folder)
        (folder / "settings.json").write_text(json.dumps({"model": "tiny", "language": "en"}))
        (folder / "daemon.json").write_text(json.dumps({"command": serve}))
        yield folder


@pytest.fixture(scope="module")
def daemon(person: Path) -> Iterator[Daemon]:
    wanted = settings.in_force(device="cpu", queue_length=2)
    with Daemon(wanted, runner=HeldUp(wanted, person / "hold")) as running:
        yield running


@pytest.fixture(scope="module")
def real_daemon(person: Path) -> Iterator[Path]:
    """The daemon as a process of its own, which the plugin starts; ended with the module."""
    yield person
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        psutil.Process(json.loads((person / "run" / "endpoint.json").read_text())["pid"]).terminate()


def add_tiny_model(folder: Path) -> None:
    """A real network with random weights, whose effect is large enough to be seen."""
    import torch

    from glihamba.models import registry, store
    from glihamba.networks import build

    config = {
        "width": 8,
        "encoder": (1, 1),
        "decoder": (1,),
        "state_dimension": 4,
        "output": "transform",
        "working_size": 64,
    }
    torch.manual_seed(3)
    network = build("glihamba", **config)
    with torch.no_grad():
        for parameter in network.get_submodule("head").parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    record = registry.Record(
        name="tiny",
        title="Tiny",
        description="Weights of chance.",
        architecture="glihamba",
        config=dataclasses.asdict(network.config),
        licence="MIT",
        training_data="none",
        source="local",
    )
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    store.save(elsewhere / "tiny.safetensors", network.state_dict(), record)
    store.add(elsewhere / "tiny.safetensors")
