"""A service without a daemon: each job runs in a thread of this process."""

from __future__ import annotations

import threading
import time

from glihamba.engine.request import Pixels, Request, bytes_of, pixels_of
from glihamba.engine.runner import Outcome, Runner
from glihamba.errors import HarmonizeError, is_out_of_memory
from glihamba.settings import Settings
from glihamba_client.errors import ClientError, error_of
from glihamba_client.host import Capture, Harmonized, Plane, Progress
from glihamba_proto import messages


class LocalService:
    """Harmonizes in this process, and keeps the network loaded between jobs as the daemon does.

    Jobs run one after the other, in the order in which they were started.
    """

    def __init__(self, settings: Settings) -> None:
        self._runner = Runner(settings)
        self._last_ended = threading.Event()
        self._last_ended.set()

    def start(self, capture: Capture, model: str = "", strength: float = 1.0) -> LocalJob:
        """Start a job without blocking. An empty model means the default one; strength is 0 to 1."""
        job = LocalJob(self._runner, capture, model, strength, after=self._last_ended)
        self._last_ended = job.ended
        return job


class LocalJob:
    """One harmonization in a thread. Its methods are those of `glihamba_client.harmonize_layer.Job`."""

    def __init__(
        self, runner: Runner, capture: Capture, model: str, strength: float, after: threading.Event
    ) -> None:
        """`after` is set when the job before has ended."""
        self._runner, self._capture, self._after = runner, capture, after
        self._model, self._strength = model, strength
        self.ended, self._given_up = threading.Event(), threading.Event()
        self._progress = Progress("QUEUED")
        self._result: Harmonized | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="glihamba-job", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self.ended.wait(seconds)

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
        self._after.wait()
        begun = time.perf_counter()
        try:
            outcome = self._runner.run(self._request(), self._report, self._given_up.is_set)
            self._result = self._harmonized(outcome, time.perf_counter() - begun)
        except HarmonizeError as error:
            self._error = error_of(error.note)
        except BaseException as error:
            self._error = ClientError("OUT_OF_MEMORY") if is_out_of_memory(error) else error
        finally:
            self.ended.set()

    def _request(self) -> Request:
        capture = self._capture
        foreground = capture.foreground
        (left, top), (x, y) = capture.composite.offset, (foreground or capture.composite).offset
        return Request(
            model=self._runner.resolve(self._model),
            strength=self._strength,
            transfer=capture.composite.transfer,
            composite=_pixels(capture.composite),
            mask=_pixels(capture.mask),
            foreground=_pixels(foreground) if foreground else None,
            foreground_offset=(x - left, y - top),
        )

    def _harmonized(self, outcome: Outcome, seconds: float) -> Harmonized:
        like = self._capture.foreground or self._capture.composite
        notice = [outcome.device.notice] if outcome.device.notice else []
        return Harmonized(
            Plane(
                like.width,
                like.height,
                like.sample_type,
                like.channels,
                bytes_of(outcome.pixels, like.channels),
                like.offset,
                like.transfer,
            ),
            model=outcome.model,
            device=outcome.device.name,
            seconds_computed=seconds,
            warnings=[messages.sentence(said, "en") for said in (*notice, *outcome.warnings)],
        )

    def _report(self, stage: str, fraction: float) -> None:
        self._progress = Progress(stage, fraction)


def _pixels(plane: Plane) -> Pixels:
    return pixels_of(plane.data, (plane.width, plane.height), plane.sample_type, plane.channels)
