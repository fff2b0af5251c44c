"""The use case's service without a daemon: the job runs in a thread of this process."""

from __future__ import annotations

import threading
import time

from glihamba.engine.request import Request
from glihamba.engine.runner import Runner
from glihamba.errors import HarmonizeError, is_out_of_memory
from glihamba.file_host import array
from glihamba.settings import Settings
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane, Progress


class LocalService:
    """Keeps the network loaded between jobs, as the daemon does."""

    def __init__(self, settings: Settings) -> None:
        self._runner = Runner(settings)

    def start(self, capture: Capture, model: str = "", strength: float = 1.0) -> LocalJob:
        return LocalJob(self._runner, capture, model, strength)


class LocalJob:
    """One harmonization in a thread."""

    def __init__(self, runner: Runner, capture: Capture, model: str, strength: float) -> None:
        self._runner, self._capture = runner, capture
        self._request = Request(
            composite=array(capture.composite),
            mask=array(capture.mask)[:, :, 0],
            foreground=array(capture.foreground) if capture.foreground else None,
            foreground_offset=_offset(capture),
            model=model,
            strength=strength,
            transfer=capture.composite.transfer,
        )
        self._ended, self._given_up = threading.Event(), threading.Event()
        self._progress = Progress("PREPARING")
        self._result: Harmonized | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="glihamba-job", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def progress(self) -> Progress:
        return self._progress

    def cancel(self) -> None:
        self._given_up.set()

    def result(self) -> Harmonized:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        begun = time.perf_counter()
        try:
            outcome = self._runner.run(self._request, self._report, self._given_up.is_set)
            like = self._capture.foreground or self._capture.composite
            plane = Plane(
                like.width,
                like.height,
                like.sample_type,
                like.channels,
                outcome.pixels.tobytes(),
                like.offset,
                like.transfer,
            )
            seconds = time.perf_counter() - begun
            warnings = tuple(outcome.warnings)
            if outcome.device.notice:
                warnings = (outcome.device.notice, *warnings)
            self._result = Harmonized(plane, outcome.model, outcome.device.name, 0.0, seconds, warnings)
        except HarmonizeError as error:
            self._error = ClientError(error.code, str(error))
        except BaseException as error:
            self._error = ClientError("OUT_OF_MEMORY") if is_out_of_memory(error) else error
        finally:
            self._ended.set()

    def _report(self, stage: str, fraction: float) -> None:
        self._progress = Progress(stage, fraction)


def _offset(capture: Capture) -> tuple[int, int]:
    """Of the foreground, relative to the composite."""
    if capture.foreground is None:
        return 0, 0
    (left, top), (x, y) = capture.composite.offset, capture.foreground.offset
    return x - left, y - top
