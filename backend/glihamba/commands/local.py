"""A service without a daemon: each job runs in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from glihamba.engine.contract import amounts_of, message_of, predicted, prediction_of
from glihamba.engine.request import AS_PREDICTED as ALL_OF_IT
from glihamba.engine.request import Pixels, Request, bytes_of, pixels_of
from glihamba.engine.runner import Outcome, Runner
from glihamba.errors import HarmonizeError, is_out_of_memory
from glihamba.settings import Settings
from glihamba_client.errors import ClientError, error_of
from glihamba_client.host import AS_PREDICTED, Capture, Choice, Harmonized, Plane, Progress
from glihamba_proto import messages

T = TypeVar("T")


class LocalService:
    """Harmonizes in this process, and keeps the network loaded between jobs as the daemon does.

    Jobs run one after the other, in the order in which they were started.
    """

    def __init__(self, settings: Settings) -> None:
        self._runner = Runner(settings)
        self._last_ended = threading.Event()
        self._last_ended.set()

    def start(self, capture: Capture, choice: Choice = AS_PREDICTED) -> LocalJob[Harmonized]:
        """Start a job without blocking."""
        return self._begin(
            lambda: _request(self._runner, capture, choice),
            lambda outcome, seconds: _harmonized(capture, outcome, seconds),
        )

    def predict(self, composite: Plane, mask: Plane, model: str = "") -> LocalJob[Any]:
        """The corrections to choose from, as `DaemonService.predict` gives them."""
        capture, choice = Capture(composite, mask), Choice(model)
        return self._begin(
            lambda: replace(_request(self._runner, capture, choice), wants_pixels=False),
            lambda outcome, seconds: predicted(outcome),
        )

    def _begin(self, request: Callable[[], Request], finish: Callable[[Outcome, float], T]) -> LocalJob[T]:
        job = LocalJob(self._runner, request, finish, after=self._last_ended)
        self._last_ended = job.ended
        return job


class LocalJob(Generic[T]):
    """One job in a thread. Its methods are those of `glihamba_client.harmonize_layer.Job`."""

    def __init__(
        self,
        runner: Runner,
        request: Callable[[], Request],
        finish: Callable[[Outcome, float], T],
        after: threading.Event,
    ) -> None:
        """`request` and `finish`, which is told the seconds, are called in the thread. `after` is set when
        the job before has ended.
        """
        self._runner, self._request, self._finish, self._after = runner, request, finish, after
        self.ended, self._given_up = threading.Event(), threading.Event()
        self._progress = Progress("QUEUED")
        self._result: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="glihamba-job", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self.ended.wait(seconds)

    def progress(self) -> Progress:
        return self._progress

    def cancel(self) -> None:
        self._given_up.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        self._after.wait()
        begun = time.perf_counter()
        try:
            outcome = self._runner.run(self._request(), self._report, self._given_up.is_set)
            self._result.append(self._finish(outcome, time.perf_counter() - begun))
        except HarmonizeError as error:
            self._error = error_of(error.note)
        except BaseException as error:
            self._error = ClientError("OUT_OF_MEMORY") if is_out_of_memory(error) else error
        finally:
            del self._request, self._finish  # they hold the pictures
            self.ended.set()

    def _report(self, stage: str, fraction: float) -> None:
        self._progress = Progress(stage, fraction)


def _request(runner: Runner, capture: Capture, choice: Choice) -> Request:
    """What the engine is asked for; raises HarmonizeError."""
    foreground = capture.foreground
    (left, top), (x, y) = capture.composite.offset, (foreground or capture.composite).offset
    return Request(
        model=runner.resolve(choice.model),
        strength=choice.strength,
        transfer=capture.composite.transfer,
        composite=_pixels(capture.composite),
        mask=_pixels(capture.mask),
        foreground=_pixels(foreground) if foreground else None,
        foreground_offset=(x - left, y - top),
        prediction=prediction_of(choice.transform) if choice.transform else None,
        amounts=amounts_of(choice.amounts) if choice.amounts else ALL_OF_IT,
    )


def _harmonized(capture: Capture, outcome: Outcome, seconds: float) -> Harmonized:
    """The outcome as the client gives it."""
    like = capture.foreground or capture.composite
    notice = [outcome.device.notice] if outcome.device.notice else []
    return Harmonized(
        replace(like, data=bytes_of(outcome.pixels, like.channels)),
        model=outcome.model,
        device=outcome.device.name,
        seconds_computed=seconds,
        warnings=[messages.sentence(said, "en") for said in (*notice, *outcome.warnings)],
        transform=message_of(outcome.prediction) if outcome.prediction else None,
    )


def _pixels(plane: Plane) -> Pixels:
    return pixels_of(plane.data, (plane.width, plane.height), plane.sample_type, plane.channels)
