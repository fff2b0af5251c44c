"""A German editor shows German messages with their numbers, although the daemon's are English."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glihamba.daemon.server import Daemon
from glihamba.engine.device import Device
from glihamba_client.client import Client, Task, note_in
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import messages
from glihamba_proto.endpoint import Endpoint
from glihamba_proto.messages import NOTE_KEY, Note

Make = Callable[..., Capture]


def harmonize(endpoint: Endpoint, capture: Capture, model: str = "statistics") -> Harmonized:
    async def work(task: Task[Harmonized]) -> Harmonized:
        return await Client(endpoint, language="de").harmonize(capture, model=model)

    return Task(work).result()


def refusal(endpoint: Endpoint, capture: Capture, model: str = "statistics") -> ClientError:
    with pytest.raises(ClientError) as failure:
        harmonize(endpoint, capture, model)
    return failure.value


def with_mask(capture: Capture, coverage: np.ndarray) -> Capture:
    return replace(capture, mask=replace(capture.mask, data=coverage.astype(np.uint8).tobytes()))


def test_a_refusal_with_its_numbers(endpoint: Endpoint, make_capture: Make) -> None:
    mask = make_capture(63, 48).mask
    error = refusal(endpoint, replace(make_capture(), mask=mask))
    assert error.sentence("de") == (
        "Maske und Bild sind verschieden groß: Die Maske hat 63 x 48 Pixel, das Bild 64 x 48. "
        "Bringen Sie beide auf dieselbe Größe."
    )
    assert error.sentence("en").startswith("The mask is 63 x 48 pixels and the composite is 64 x 48 pixels.")


def test_other_refusals(endpoint: Endpoint, make_capture: Make) -> None:
    error = refusal(endpoint, make_capture(), "statistisc")
    assert error.sentence("de").startswith("Ein Modell namens „statistisc“ gibt es nicht. Meinten Sie ")
    error = refusal(endpoint, make_capture(), "schönes Modell „ß“")
    assert error.sentence("de").startswith("Ein Modell namens „schönes Modell „ß““ gibt es nicht.")
    nothing = np.full((48, 64), np.nan, np.float32)
    error = refusal(
        endpoint, replace(make_capture(), mask=Plane(64, 48, "float32", "gray", nothing.tobytes()))
    )
    assert error.sentence("de").startswith(
        "Es gibt Werte, die keine Zahlen sind (NaN oder unendlich; Maske)."
    )
    error = refusal(endpoint, with_mask(make_capture(), np.full((48, 64), 255)))
    assert error.sentence("de") == messages.catalogue("de")["FULL_MASK"]


def test_a_refusal_too_long_for_a_header_still_arrives(endpoint: Endpoint, make_capture: Make) -> None:
    error = refusal(endpoint, make_capture(), "ä" * 1000)
    assert error.code == "UNKNOWN_MODEL"
    assert error.sentence("de").startswith("Ein Modell namens „ää")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ((slice(0, 46), slice(None)), "Das Objekt füllt 96 % des Bildes: "),
        ((slice(0, 3), slice(0, 3)), "Das Objekt hat nur wenige Pixel: "),
    ],
)
def test_each_warning(
    endpoint: Endpoint, make_capture: Make, pixels: tuple[slice, slice], words: str
) -> None:
    coverage = np.zeros((48, 64))
    coverage[pixels] = 255
    (said,) = harmonize(endpoint, with_mask(make_capture(), coverage)).warnings
    assert said.startswith(words)


def test_the_notice_and_what_the_engine_warns_of(
    daemon: Daemon, endpoint: Endpoint, make_capture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device("cpu", "a processor", Note("NOTICE.CPU_PYTORCH"))
    run = daemon.runner.run

    def warned(*arguments: Any) -> Any:
        outcome = run(*arguments)
        outcome.warnings.append(Note("WARNING.CPU_INSTEAD"))
        return outcome

    monkeypatch.setattr(daemon.runner, "device", lambda: device)
    monkeypatch.setattr(daemon.jobs, "_run", warned)
    notice, warning = harmonize(endpoint, make_capture()).warnings
    assert notice.startswith("Die GPU wird nicht genutzt, weil das PyTorch für CPUs installiert ist.")
    assert warning == messages.catalogue("de")["WARNING.CPU_INSTEAD"]


@pytest.mark.parametrize(
    "sent", [{}, {NOTE_KEY: b"\xff\xff"}, {NOTE_KEY: pb.Note(message="EMPTY_MASK").SerializeToString()}]
)
def test_an_older_daemon_sends_a_code_and_a_sentence(sent: dict[str, bytes]) -> None:
    """The code decides the message. Fields that do not belong to it are ignored."""
    note = note_in(sent, "FULL_MASK", "The mask covers everything.")
    assert messages.sentence(note, "en") == "The mask covers everything."
    assert messages.sentence(note, "de") == messages.catalogue("de")["FULL_MASK"]
