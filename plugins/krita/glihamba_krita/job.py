"""Layers on their way to the daemon and back. A job takes each step from a timer, so Krita never waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from krita import Node

from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import (
    Service,
    guarded,
    harmonize_capture,
    harmonize_layer,
    until_cancelled,
)
from glihamba_client.host import Choice, Steps
from glihamba_proto.errors import Failure

from .host import JobWindow, KritaHost
from .qt import QTimer

WAITING, WORKING = 30, 1  # milliseconds until a job's next step


class LayerJob:
    """The layers of one act, one after the other, in one window. `ended` is told when nothing is left."""

    def __init__(
        self,
        hosts: Sequence[KritaHost],
        window: JobWindow,
        steps: Steps[None],
        ended: Callable[[LayerJob], None],
    ) -> None:
        self.hosts, self.window, self.steps, self.ended = hosts, window, steps, ended

    def is_of(self, node: Node) -> bool:
        """Whether the node is one of its layers."""
        return any(host.layer.node_id == node.uniqueId() for host in self.hosts)

    def step(self) -> None:
        """Take one step. The next one is asked for at its end: Krita's own calls may run the event loop."""
        try:
            wait = next(self.steps)
        except Exception:  # the job has ended, and `guarded` has told why if it failed
            self.end()
        else:
            QTimer.singleShot(WORKING if wait is None else WAITING, self.step)

    def cancel(self) -> None:
        """Give the job up; its next step ends it."""
        self.window.cancelled = True

    def end(self) -> None:
        self.ended(self)
        with contextlib.suppress(RuntimeError):  # it was deleted with the window it belonged to
            self.window.leave()
        for host in self.hosts:
            host.release()


def harmonized(
    hosts: Sequence[KritaHost], service: Service, choices: Sequence[Choice], language: str
) -> Steps[None]:
    """Harmonize the layers from the lowest up: each sees those below it as they have become.

    choices: the corrections to add to each; only the first of them is shown.

    Of several layers, one that leaves nothing of the scene is the scene, and stays as it is. The person is
    told of failures, and the next layer follows.
    """
    scenes: list[Failure] = []
    for host in hosts:
        steps = guarded(host, but_the_scene(harmonized_layer(host, service, choices), scenes), language)
        yield from steps
        host.release()
        if host.cancelled():
            return
    if len(scenes) == len(hosts):
        yield from guarded(hosts[0], failing(scenes[0]), language)


def harmonized_layer(host: KritaHost, service: Service, choices: Sequence[Choice]) -> Steps[None]:
    """Harmonize one layer, with all of its frames if it is animated. Raises `ClientError`."""
    if host.has_frames():
        yield from harmonized_frames(host, service, choices[0])
    elif len(choices) == 1:
        yield from harmonize_layer(host, service, choices[0])
    else:
        yield from with_all(host, service, choices)


def with_all(host: KritaHost, service: Service, choices: Sequence[Choice]) -> Steps[None]:
    """Add a result for each of the corrections."""
    capture = yield from until_cancelled(host, host.capture())
    warnings: list[str] = []
    for number, choice in enumerate(choices, 1):
        host.show_part("correction", number, len(choices))
        done = yield from harmonize_capture(host, service, capture, choice)
        warnings += done.warnings
        yield from host.keep(done)
    yield from host.add_kept()
    for warning in dict.fromkeys(warnings):
        host.message(warning)


def harmonized_frames(host: KritaHost, service: Service, choice: Choice) -> Steps[None]:
    """Correct every frame of the layer as the one that is shown."""
    capture = yield from until_cancelled(host, host.capture())
    shown = yield from harmonize_capture(host, service, capture, choice)
    if choice.transform is None:
        choice = replace(choice, transform=shown.transform)
    frames = host.frames(capture)
    for number, time in enumerate(frames.times, 1):
        host.show_part("frame", number, len(frames.times))
        frame = yield from until_cancelled(host, frames.read(time))
        if frame is not None:
            done = yield from harmonize_capture(host, service, frame, choice)
            yield from until_cancelled(host, frames.write(done.plane))
    host.keep_frames(frames)
    yield from host.add_kept()
    for warning in shown.warnings:
        host.message(warning)


def but_the_scene(steps: Steps[None], scenes: list[Failure]) -> Steps[None]:
    """The same steps. A failure because there is no scene is not raised but kept."""
    try:
        yield from steps
    except ClientError as error:
        if error.code != "FULL_MASK":
            raise
        scenes.append(error)


def failing(error: Failure) -> Steps[None]:
    yield from ()
    raise error
