"""The use case "harmonize this layer", the same for every host.

It is a generator so that an editor stays alive: each step returns at once, and the editor takes the
next one from a timer. Hosts that may block use `run`.

    for wait in harmonize_layer(host, service):
        wait(0.05)          # or: return to the event loop, come back in 50 ms
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from glihamba_client.errors import ClientError, refuse
from glihamba_client.host import Capture, Harmonized, Host, Progress
from glihamba_proto import checks
from glihamba_proto.errors import Failure

Wait = Callable[[float], bool]
PATIENCE = 0.05  # seconds between two looks at the progress and the Cancel button


class Job(Protocol):
    """A harmonization under way elsewhere: in the daemon, or in a thread of this process."""

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after waiting for that at most so long."""

    def progress(self) -> Progress: ...

    def result(self) -> Harmonized:
        """The whole result, once ended; raises `ClientError` when it failed."""

    def cancel(self) -> None:
        """Give it up, at once and without waiting; nothing happens when it has ended."""


class Service(Protocol):
    """Whoever harmonizes."""

    def start(self, capture: Capture, model: str, strength: float) -> Job:
        """Begin without blocking; an empty model means the default one."""


def harmonize_layer(
    host: Host, service: Service, *, model: str = "", strength: float = 1.0
) -> Iterator[Wait]:
    """Capture, send, wait, deliver. Yields whenever there is nothing to do but wait.

    Nothing is delivered before the whole result has arrived. Closing the generator cancels the job.
    Raises `ClientError`.
    """
    capture = host.capture()
    check(capture)
    job = service.start(capture, model, strength)
    try:
        while not job.wait(0):
            host.progress(job.progress())
            if host.cancelled():
                raise ClientError("CANCELLED")
            yield job.wait
        harmonized = job.result()
    finally:
        job.cancel()
    if host.cancelled():
        raise ClientError("CANCELLED")
    check_result(capture, harmonized)
    host.deliver(harmonized)
    for warning in harmonized.warnings:
        host.message(warning)


def run(steps: Iterator[Wait]) -> None:
    """Drive the use case to its end in this thread."""
    try:
        for wait in steps:
            wait(PATIENCE)
    finally:
        close = getattr(steps, "close", None)
        if close:
            close()


def guarded(host: Host, steps: Iterator[Wait], language: str = "") -> Iterator[Wait]:
    """The same steps, with every failure told to the person by `host.message` instead of raised.

    For editors, where an exception in a slot opens a box or kills the plug-in.
    """
    try:
        yield from steps
    except Failure as error:
        if error.code != "CANCELLED":
            host.message(error.sentence(language), failed=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        host.message(ClientError("HOST_FAILED", reason=reason).sentence(language), failed=True)


def check(capture: Capture) -> None:
    """What can be seen wrong without the daemon; raises `ClientError`."""
    composite, mask = capture.composite, capture.mask
    for plane in capture.planes:
        if plane.width < 1 or plane.height < 1 or len(memoryview(plane.data).cast("B")) != plane.byte_count:
            raise ClientError("BAD_CAPTURE", width=plane.width, height=plane.height)
    refuse(checks.same_size((mask.width, mask.height), (composite.width, composite.height)))
    if bytes(mask.data).count(0) == mask.byte_count:
        raise ClientError("EMPTY_MASK")


def check_result(capture: Capture, harmonized: Harmonized) -> None:
    """A result of another shape must never reach a document; raises `ClientError`."""
    asked, came = capture.foreground or capture.composite, harmonized.plane
    same = all(getattr(asked, name) == getattr(came, name) for name in _SHAPE)
    if not same or len(memoryview(came.data).cast("B")) != asked.byte_count:
        raise ClientError("BAD_RESULT")


_SHAPE = ("width", "height", "sample_type", "channels", "transfer")
