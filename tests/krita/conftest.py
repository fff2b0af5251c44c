"""The real Krita with the assembled plugin, and the real daemon with a tiny model that a case can hold up."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(REPOSITORY / "plugins")]

import assemble  # noqa: E402
import krita_app  # noqa: E402
from krita_app import Profile  # noqa: E402

from glihamba import settings  # noqa: E402
from glihamba.daemon.runner import Runner  # noqa: E402
from glihamba.daemon.server import Daemon  # noqa: E402

SERVE = [sys.executable, "-m", "glihamba", "serve", "--device", "cpu"]


@pytest.fixture(scope="session")
def krita() -> None:
    """Skips where there is no Krita and none can be installed."""
    if why := krita_app.missing():
        pytest.skip(why)


@pytest.fixture(scope="session")
def profile(krita: None, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A Krita that has been started before, with the plugin as install.py installs it."""
    made = Profile(tmp_path_factory.mktemp("krita"))
    krita_app.warm(made)
    made.add_driver()
    assemble.assemble("krita", made.resources)
    made.enable("glihamba_test_driver", "glihamba_krita")
    return made


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept to be looked at."""
    folder = REPOSITORY / "build" / "krita" / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class HeldUp(Runner):
    """The real engine, which does not begin a job while the file `hold` is there and the job is wanted."""

    def __init__(self, wanted: settings.Settings, hold: Path) -> None:
        super().__init__(wanted)
        self.hold = hold

    def run(self, request: Any, progress: Any, cancelled: Callable[[], bool]) -> Any:
        import time

        progress("PREPARING", 0.1)
        while self.hold.exists() and not cancelled():
            time.sleep(0.005)
        if cancelled():
            self.hold.with_name("gave-up").touch()
        return super().run(request, progress, cancelled)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a person who has chosen the model `tiny`; the environment points to it."""
    folder = tmp_path_factory.mktemp("person")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIHAMBA_DATA_DIR", str(folder))
        patch.setenv("GLIHAMBA_EXIT_MINUTES", "5")
        add_tiny_model(folder)
        (folder / "settings.json").write_text(json.dumps({"model": "tiny", "language": "en"}))
        (folder / "daemon.json").write_text(json.dumps({"command": SERVE}))
        yield folder


@pytest.fixture(scope="module")
def daemon(person: Path) -> Iterator[Daemon]:
    wanted = settings.load(device="cpu", queue_length=2)
    with Daemon(wanted, runner=HeldUp(wanted, person / "hold")) as running:
        yield running


@pytest.fixture(scope="module")
def real_daemon(person: Path) -> Iterator[Path]:
    """The daemon as a process of its own, which the plugin starts; ended with the module."""
    yield person
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        psutil.Process(json.loads((person / "run" / "endpoint.json").read_text())["pid"]).terminate()


def add_tiny_model(folder: Path) -> None:
    """A network of the real kind with weights of chance, strong enough to be seen."""
    import torch

    from glihamba.models import build, registry, store

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
        for parameter in network.head.parameters():
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
