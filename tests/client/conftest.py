"""Captures, and a real daemon in this process whose engine a test can hold up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from glihamba import settings
from glihamba.daemon.server import Daemon
from glihamba.engine.runner import Runner
from glihamba_client.host import Capture, Plane
from glihamba_proto.endpoint import Endpoint


def _plane(pixels: np.ndarray, channels: Literal["rgb", "gray"]) -> Plane:
    return Plane(pixels.shape[1], pixels.shape[0], "uint8", channels, pixels.tobytes())


@pytest.fixture
def make_capture() -> Callable[..., Capture]:
    """`make_capture(width, height)`: a noisy scene with a bright rectangle, and its mask."""

    def make(width: int = 64, height: int = 48) -> Capture:
        pixels = np.random.default_rng(5).integers(20, 90, (height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 255
        pixels[mask > 0] += 120
        return Capture(_plane(pixels, "rgb"), _plane(mask[:, :, None], "gray"))

    return make


class HeldUp(Runner):
    """The real engine, which waits before each job until the test releases it or the job is cancelled."""

    def __init__(self, wanted: settings.Settings) -> None:
        super().__init__(wanted)
        self.go, self.begun, self.gave_up = threading.Event(), threading.Event(), threading.Event()
        self.go.set()

    def run(self, request: Any, progress: Any, cancelled: Callable[[], bool]) -> Any:
        self.begun.set()
        while not self.go.wait(0.01):
            if cancelled():
                self.gave_up.set()
                break
        return super().run(request, progress, cancelled)


@pytest.fixture
def daemon(own_home: Path) -> Iterator[Daemon]:
    """A daemon with the real service, pipeline and models; `daemon.runner.go.clear()` holds its jobs up."""
    wanted = settings.in_force(device="cpu", chunk_bytes=4096)
    runner = HeldUp(wanted)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(Daemon(wanted, runner=runner))
        stack.callback(runner.go.set)
        yield running


@pytest.fixture
def endpoint(daemon: Daemon) -> Endpoint:
    return Endpoint("127.0.0.1", daemon.port, daemon.token, daemon.instance, 1)
