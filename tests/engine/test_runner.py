"""The network's keeper: which device, and what happens when its memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from glihamba import settings
from glihamba.engine.device import Device, choose_device, cpu_name
from glihamba.engine.request import Request
from glihamba.engine.runner import Runner
from glihamba.errors import OutOfMemory, UnknownModel, is_out_of_memory
from glihamba.networks.statistics import Statistics
from glihamba.pipeline.harmonize import harmonize


class TooLarge(Statistics):
    def colour_transform(self, composite: Any, mask: Any) -> Any:
        return torch.empty(1 << 60, dtype=torch.uint8)


@pytest.fixture
def request_(said: SimpleNamespace) -> Request:
    return Request("", 1.0, "srgb", said.picture(), said.object_mask(), None, (0, 0))


def run(runner: Runner, request: Request) -> Any:
    return runner.run(request, lambda stage, fraction: None, lambda: False)


def test_the_cpu_when_asked_for() -> None:
    assert choose_device("cpu", 0) == ("cpu", cpu_name(), "")
    assert cpu_name().strip()


def test_a_gpu_hoped_for_in_vain_is_announced(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    daemon = start(device="cuda")
    info = connect(daemon).info()
    assert info.device.kind == "cpu"
    assert info.notice.startswith("The GPU is not used, because ")
    assert info.notice.endswith(".")
    assert connect(daemon).harmonize(said.plain_job()).end.device.kind == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
def test_a_gpu_is_used(start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace) -> None:
    daemon = start(device="auto")
    peer = connect(daemon)
    assert (peer.info().device.kind, peer.info().notice) == ("cuda", "")
    end = peer.harmonize(said.plain_job()).end
    assert (end.device.kind, list(end.warnings)) == ("cuda", [])


def test_what_the_gpu_has_no_memory_for_is_done_on_the_cpu(request_: Request) -> None:
    """The device is said to be a GPU; its network runs out of memory for real."""
    asked: list[str] = []

    def load(name: str, kind: str) -> Statistics:
        asked.append(kind)
        return TooLarge() if kind == "cuda" else Statistics()

    runner = Runner(settings.load(), load)
    runner._device = Device("cuda", "a small GPU")
    for _ in range(2):  # the next job tries the GPU again
        outcome = run(runner, request_)
        assert outcome.device.kind == "cpu"
        assert outcome.warnings == ["The GPU's memory is too small for this picture: the CPU did the work."]
        expected = harmonize(request_.composite, request_.mask, Statistics()).pixels
        np.testing.assert_array_equal(outcome.pixels, expected)
    assert asked == ["cuda", "cpu", "cuda", "cpu"]


def test_when_the_cpu_has_none_either(request_: Request) -> None:
    runner = Runner(settings.load(), lambda name, kind: TooLarge())
    runner._device = Device("cuda", "a small GPU")
    with pytest.raises(OutOfMemory, match="There is not enough memory"):
        run(runner, request_)
    assert not runner.loaded


def test_another_model_takes_the_place_of_the_first(request_: Request) -> None:
    loaded: list[str] = []

    def load(name: str, kind: str) -> Statistics:
        loaded.append(name)
        return Statistics()

    runner = Runner(settings.load(default_model="statistics-full"), load)
    for _ in range(2):
        assert run(runner, request_).model == "statistics-full"
    assert run(runner, replace(request_, model="statistics")).model == "statistics"
    assert loaded == ["statistics-full", "statistics"]
    assert runner.unload()
    assert not runner.unload()


def test_a_warm_runner_has_loaded_and_tried_the_default_model(request_: Request) -> None:
    begun: list[str] = []

    class Counted(Statistics):
        def colour_transform(self, composite: Any, mask: Any) -> Any:
            begun.append("tried")
            return super().colour_transform(composite, mask)

    def load(name: str, kind: str) -> Statistics:
        begun.append(name)
        return Counted()

    runner = Runner(settings.load(default_model="statistics-full"), load)
    runner.warm()
    assert begun == ["statistics-full", "tried"]
    run(runner, request_)
    assert begun == ["statistics-full", "tried", "tried"]


def test_what_cannot_be_warmed_is_told_by_the_job(
    request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(settings.load(default_model="no-such-model"))
    runner.warm()
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ["the default model could not be tried"]
    with pytest.raises(UnknownModel, match="no-such-model"):
        run(runner, request_)


def test_other_failures_are_not_mistaken_for_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
