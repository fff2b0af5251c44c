"""The use case "harmonize this layer", the same for every host.

It works in steps, so that an editor stays responsive: each step returns quickly, and the editor takes the
next one from a timer. Hosts that may block use `run`.

    for wait in harmonize_layer(host, service):
        ...                 # return to the event loop; come back at once for None, else a little later
"""

from __future__ import annotations

from typing import Protocol

from glihamba_client.errors import ClientError, refuse
from glihamba_client.host import AS_PREDICTED, Capture, Choice, Harmonized, Host, Progress, Steps, T
from glihamba_proto import checks
from glihamba_proto.errors import Failure

PATIENCE = 0.05  # seconds between two looks at the progress and the Cancel button


class Job(Protocol):
    """A harmonization under way elsewhere: in the daemon, or in a thread of this process."""

    def wait(self, seconds: float) -> bool:
        """Whether the job has ended; waits for that at most so many seconds."""

    def progress(self) -> Progress: ...

    def result(self) -> Harmonized:
        """The whole result of a job that has ended; raises `ClientError` when the job failed."""

    def cancel(self) -> None:
        """Give the job up without waiting. Does nothing when it has ended."""


class Service(Protocol):
    """Whoever harmonizes."""

    def start(self, capture: Capture, choice: Choice) -> Job:
        """Begin without blocking."""


def harmonize_layer(host: Host, service: Service, choice: Choice = AS_PREDICTED) -> Steps[None]:
    """Capture, check, send, wait, deliver, warn.

    Nothing is delivered before the whole result has arrived, and warnings about the result follow its
    delivery. Closing the generator cancels the job. Raises `ClientError`.
    """
    harmonized = yield from _harmonized(host, service, choice)
    yield from host.deliver(harmonized)
    for warning in harmonized.warnings:
        host.message(warning)


def _harmonized(host: Host, service: Service, choice: Choice) -> Steps[Harmonized]:
    """The whole result. The captured pixels are freed with this frame, before the delivery begins."""
    capture = yield from until_cancelled(host, host.capture())
    return (yield from harmonize_capture(host, service, capture, choice))


def harmonize_capture(host: Host, service: Service, capture: Capture, choice: Choice) -> Steps[Harmonized]:
    """Check, send, wait: the whole result of what a host has captured. Raises `ClientError`."""
    check_capture(capture)
    job = service.start(capture, choice)
    try:
        while not job.wait(0):
            host.progress(job.progress())
            stop_if_cancelled(host)
            yield job.wait
        harmonized = job.result()
    finally:
        job.cancel()
    stop_if_cancelled(host)
    check_result(capture, harmonized)
    return harmonized


def until_cancelled(host: Host, steps: Steps[T]) -> Steps[T]:
    """The same steps; raises `ClientError` CANCELLED between them when the person has asked to stop."""
    try:
        while True:
            stop_if_cancelled(host)
            yield next(steps)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


def stop_if_cancelled(host: Host) -> None:
    """Raises `ClientError` CANCELLED when the person has asked to stop."""
    if host.cancelled():
        raise ClientError("CANCELLED")


def run(steps: Steps[T]) -> T:
    """Take all of the steps in this thread; returns what they return."""
    try:
        while True:
            wait = next(steps)
            if wait is not None:
                wait(PATIENCE)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


def guarded(host: Host, steps: Steps[None], language: str = "") -> Steps[None]:
    """The same steps, with every failure told to the person by `host.message` instead of raised.

    For editors, where an exception in a slot opens a box or kills the plugin.
    """
    try:
        yield from steps
    except Failure as error:
        if error.code != "CANCELLED":
            host.message(error.sentence(language), failed=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        host.message(ClientError("HOST_FAILED", reason=reason).sentence(language), failed=True)


def check_capture(capture: Capture) -> None:
    """Refuse what is wrong without asking the daemon; raises `ClientError`."""
    composite, mask = capture.composite, capture.mask
    for plane in capture.planes:
        if plane.width < 1 or plane.height < 1 or len(memoryview(plane.data).cast("B")) != plane.byte_count:
            raise ClientError("BAD_CAPTURE", width=plane.width, height=plane.height)
    refuse(checks.same_size((mask.width, mask.height), (composite.width, composite.height)))
    if bytes(mask.data).count(0) == mask.byte_count:
        raise ClientError("EMPTY_MASK")


def check_result(capture: Capture, harmonized: Harmonized) -> None:
    """Refuse a result of another shape, which must never reach a document; raises `ClientError`."""
    asked, came = capture.foreground or capture.composite, harmonized.plane
    same = all(getattr(asked, name) == getattr(came, name) for name in _SHAPE)
    if not same or len(memoryview(came.data).cast("B")) != asked.byte_count:
        raise ClientError("BAD_RESULT")


_SHAPE = ("width", "height", "sample_type", "channels", "transfer")
