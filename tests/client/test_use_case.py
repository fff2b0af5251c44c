"""The use case in steps, with a host that records what an editor would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from glihamba.models import registry
from glihamba_client.client import Client, Task
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import guarded, harmonize_layer, run
from glihamba_client.host import Capture, Choice, Harmonized, Plane, Progress, Steps, at_once
from glihamba_proto.endpoint import Endpoint

Make = Callable[..., Capture]


class Editor:
    """A host that holds a capture and notes what it is told."""

    def __init__(self, capture: Capture) -> None:
        self.picture = capture
        self.delivered: list[Harmonized] = []
        self.seen: list[Progress] = []
        self.said: list[tuple[str, bool]] = []
        self.cancel_pressed = False
        self.fault: Exception | None = None

    @at_once
    def capture(self) -> Capture:
        return self.picture

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        if self.fault:
            raise self.fault
        self.delivered.append(harmonized)

    def progress(self, progress: Progress) -> None:
        self.seen.append(progress)

    def cancelled(self) -> bool:
        return self.cancel_pressed

    def message(self, text: str, failed: bool = False) -> None:
        self.said.append((text, failed))


class SlowEditor(Editor):
    """A host that reads and writes in steps and notes their order."""

    def __init__(self, capture: Capture) -> None:
        super().__init__(capture)
        self.story: list[str] = []

    def capture(self) -> Steps[Capture]:
        self.story.append("begins to read")
        yield None
        self.story.append("has read")
        return self.picture

    def deliver(self, harmonized: Harmonized) -> Steps[None]:
        self.story.append("begins to write")
        yield None
        yield from super().deliver(harmonized)
        self.story.append("has written")

    def message(self, text: str, failed: bool = False) -> None:
        self.story.append(text)


class Done:
    """A job that has ended."""

    def __init__(self, harmonized: Harmonized) -> None:
        self._harmonized = harmonized

    def wait(self, seconds: float) -> bool:
        return True

    def progress(self) -> Progress:
        return Progress()

    def result(self) -> Harmonized:
        return self._harmonized

    def cancel(self) -> None:
        pass


class Unchanged:
    """A service that changes nothing and warns of it."""

    def start(self, capture: Capture, choice: Choice) -> Done:
        return Done(Harmonized(capture.foreground or capture.composite, warnings=("Nothing changed.",)))


class AtEndpoint:
    """The daemon of the fixture as a service."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def start(self, capture: Capture, choice: Choice) -> Task[Harmonized]:
        async def work(task: Task[Harmonized]) -> Harmonized:
            client = Client(self.endpoint)
            return await client.harmonize(capture, model=choice.model, report=task.report)

        return Task(work)


@pytest.fixture
def service(endpoint: Endpoint) -> AtEndpoint:
    return AtEndpoint(endpoint)


def test_captured_sent_delivered(service: AtEndpoint, make_capture: Make) -> None:
    editor = Editor(make_capture())
    run(harmonize_layer(editor, service, Choice("statistics")))
    assert len(editor.delivered) == 1
    assert editor.delivered[0].model == "statistics"
    assert editor.said == []


def test_warnings_follow_a_delivery_in_steps(make_capture: Make) -> None:
    editor = SlowEditor(make_capture())
    run(harmonize_layer(editor, Unchanged()))
    story = ["begins to read", "has read", "begins to write", "has written", "Nothing changed."]
    assert editor.story == story
    assert len(editor.delivered) == 1


def test_a_delivery_that_fails_is_followed_by_no_warning(make_capture: Make) -> None:
    editor = SlowEditor(make_capture())
    editor.fault = ClientError("HOST_FAILED", "The layer is gone.")
    run(guarded(editor, harmonize_layer(editor, Unchanged()), "en"))
    assert editor.story == ["begins to read", "has read", "begins to write", "The layer is gone."]


def test_a_failure_while_reading_is_said_and_nothing_sent(
    make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: SlowEditor) -> Steps[Capture]:
        yield None
        raise ClientError("HOST_FAILED", "The layer is empty.")

    monkeypatch.setattr(SlowEditor, "capture", fails)
    editor = SlowEditor(make_capture())
    run(guarded(editor, harmonize_layer(editor, Unchanged()), "en"))
    assert editor.story == ["The layer is empty."]


def test_steps_return_at_once_and_closing_them_cancels(
    daemon: Any, service: AtEndpoint, make_capture: Make
) -> None:
    daemon.runner.go.clear()
    editor = Editor(make_capture())
    steps = harmonize_layer(editor, service)
    for _ in range(3):
        next(steps)
    assert daemon.runner.begun.wait()
    steps.close()
    assert daemon.runner.gave_up.wait()
    assert editor.delivered == []
    assert editor.seen


def test_cancel_pressed(daemon: Any, service: AtEndpoint, make_capture: Make) -> None:
    daemon.runner.go.clear()
    editor = Editor(make_capture())
    steps = harmonize_layer(editor, service)
    next(steps)
    editor.cancel_pressed = True
    with pytest.raises(ClientError) as failure:
        next(steps)
    assert failure.value.code == "CANCELLED"
    assert editor.delivered == []


def test_every_failure_is_said_and_none_raised(service: AtEndpoint, make_capture: Make) -> None:
    editor = Editor(make_capture())
    run(guarded(editor, harmonize_layer(editor, service, Choice("nonsuch")), "de"))
    known = ", ".join(record.name for record in registry.records())
    said = f"Ein Modell namens „nonsuch“ gibt es nicht. Bekannt: {known} (siehe „glihamba models list“)."
    assert editor.said == [(said, True)]
    editor = Editor(make_capture())
    editor.fault = RuntimeError("the layer is gone")
    run(guarded(editor, harmonize_layer(editor, service), "en"))
    said = "The plugin failed (RuntimeError: the layer is gone), and nothing was changed. Please report this."
    assert editor.said == [(said, True)]


def test_cancelling_says_nothing(daemon: Any, service: AtEndpoint, make_capture: Make) -> None:
    daemon.runner.go.clear()
    editor = Editor(make_capture())
    editor.cancel_pressed = True
    run(guarded(editor, harmonize_layer(editor, service)))
    assert editor.said == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: replace(c, mask=replace(c.mask, data=bytes(len(c.mask.data)))), "EMPTY_MASK"),
        (lambda c: replace(c, mask=Plane(1, 1, "uint8", "gray", b"\xff")), "SIZE_MISMATCH"),
        (lambda c: replace(c, composite=replace(c.composite, data=b"short")), "BAD_CAPTURE"),
        (lambda c: replace(c, composite=replace(c.composite, width=0, data=b"")), "BAD_CAPTURE"),
    ],
)
def test_what_the_client_itself_refuses(
    service: AtEndpoint, make_capture: Make, change: Callable[[Capture], Capture], code: str
) -> None:
    with pytest.raises(ClientError) as failure:
        run(harmonize_layer(Editor(change(make_capture())), service))
    assert failure.value.code == code
