"""The runner: which device it uses, and what it does when the device's memory runs out."""

from __future__ import annotations

import errno
from typing import Any

import numpy as np
import pytest
import torch
from job_pictures import object_mask, picture

from glihamba import settings
from glihamba.engine.device import Device, choose_device, cpu_name
from glihamba.engine.request import Request
from glihamba.engine.runner import Outcome, Runner
from glihamba.errors import OutOfMemory, UnknownModel, is_out_of_memory
from glihamba.networks.statistics import Statistics
from glihamba.pipeline.harmonize import harmonize
from glihamba_proto.messages import Note


class TooLarge(Statistics):
    def colour_transform(self, composite: Any, mask: Any) -> Any:
        return torch.empty(1 << 60, dtype=torch.uint8)


def run(runner: Runner, model: str = "") -> Outcome:
    """One job with the small picture."""
    request = Request(runner.resolve(model), 1.0, "srgb", picture(), object_mask())
    return runner.run(request, lambda stage, fraction: None, lambda: False)


def test_the_cpu_when_asked_for() -> None:
    assert choose_device("cpu", 0) == ("cpu", cpu_name(), None)
    assert cpu_name().strip()


@pytest.mark.slow
def test_what_the_gpu_has_no_memory_for_is_done_on_the_cpu() -> None:
    """The device claims to be a GPU, and its network raises a real out-of-memory error."""
    asked: list[str] = []

    def load(name: str, kind: str) -> Statistics:
        asked.append(kind)
        return TooLarge() if kind == "cuda" else Statistics()

    runner = Runner(settings.in_force(), load)
    runner._device = Device("cuda", "a small GPU")
    for _ in range(2):  # the next job tries the GPU again
        outcome = run(runner)
        assert outcome.device.kind == "cpu"
        assert outcome.warnings == [Note("WARNING.CPU_INSTEAD")]
        expected = harmonize(picture(), object_mask(), Statistics()).pixels
        np.testing.assert_array_equal(outcome.pixels, expected)
    assert asked == ["cuda", "cpu", "cuda", "cpu"]


def test_when_the_cpu_has_none_either() -> None:
    runner = Runner(settings.in_force(), lambda name, kind: TooLarge())
    runner._device = Device("cuda", "a small GPU")
    with pytest.raises(OutOfMemory, match="There is not enough memory"):
        run(runner)
    assert not runner.loaded


def test_another_model_takes_the_place_of_the_first() -> None:
    loaded: list[str] = []

    def load(name: str, kind: str) -> Statistics:
        loaded.append(name)
        return Statistics()

    runner = Runner(settings.in_force(default_model="statistics-full"), load)
    for _ in range(2):
        assert run(runner).model == "statistics-full"
    assert run(runner, "statistics").model == "statistics"
    assert loaded == ["statistics-full", "statistics"]
    assert runner.unload()
    assert not runner.unload()


def test_a_warm_runner_has_loaded_and_tried_the_default_model() -> None:
    begun: list[str] = []

    class Counted(Statistics):
        def colour_transform(self, composite: Any, mask: Any) -> Any:
            begun.append("tried")
            return super().colour_transform(composite, mask)

    def load(name: str, kind: str) -> Statistics:
        begun.append(name)
        return Counted()

    runner = Runner(settings.in_force(default_model="statistics-full"), load)
    runner.warm()
    assert begun == ["statistics-full", "tried"]
    run(runner)
    assert begun == ["statistics-full", "tried", "tried"]


def test_what_cannot_be_warmed_is_told_by_the_job(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner(settings.in_force(default_model="no-such-model"))
    runner.warm()
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ["the default model could not be tried"]
    with pytest.raises(UnknownModel, match="no-such-model"):
        run(runner)


def test_other_failures_are_not_mistaken_for_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    for words in ("could not create a memory object", "could not create a primitive", "std::bad_alloc"):
        assert is_out_of_memory(RuntimeError(words)), "oneDNN and C++ say it so"
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
