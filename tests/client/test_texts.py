"""The editors' texts exist in every language, and each text is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from glihamba_client import texts
from glihamba_client.host import Progress
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import messages

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.mark.parametrize("editor", ["krita", "gimp"])
def test_every_text_is_said_by_each_editor(editor: str) -> None:
    sources = [*(PLUGINS / editor).rglob("*.py"), Path(texts.__file__)]
    said = "".join(path.read_text("utf-8") for path in sources)
    shared = [key for key in messages.catalogue("en") if key.startswith("EDITOR.")]
    assert shared
    names = {key: key.partition(".")[2] for key in shared}
    assert not [key for key in shared if f'"{names[key]}"' not in said and f'"{key}"' not in said]


def test_a_plugin_s_own_words_come_first() -> None:
    assert texts.find("GIMP", "moved", "en", layer="Shoe").startswith(
        "“Shoe” was moved or resized meanwhile."
    )
    assert texts.find("KRITA", "moved", "en", layer="Shoe").startswith("“Shoe” was moved or painted on")
    assert texts.find("GIMP", "writing", "en") == "Adding the result"
    with pytest.raises(KeyError):
        texts.find("GIMP", "nonsense", "en")


def test_a_plugin_s_refusal_gets_its_language_where_it_is_shown() -> None:
    own = texts.refusal("GIMP", "not a layer", layer="Hut")
    shared = texts.refusal("KRITA", "deleted", layer="Schuh")
    assert own.sentence("en").startswith("“Hut” is not a layer.")
    assert own.sentence("de") == texts.find("GIMP", "not a layer", "de", layer="Hut")
    assert shared.sentence("en") == texts.find("KRITA", "deleted", "en", layer="Schuh")
    assert shared.sentence("de").startswith("„Schuh“ wurde inzwischen gelöscht")


def test_a_job_s_place_in_the_queue() -> None:
    assert texts.stage(Progress("QUEUED", 0.1, 3), "en") == "Waiting for other jobs (3 more before it)"
    assert texts.stage(Progress("QUEUED"), "de") == "Warten auf andere Aufträge (als nächstes)"
    assert texts.stage(Progress("APPLYING", 0.5), "en") == "Applying them at full size"


def test_models_to_choose_from() -> None:
    known = pb.Model(name="a", title="The A", description="It is A.", licence="For all.", installed=True)
    default, first, second = texts.choices([known, pb.Model(name="b")], "a", "", "en")
    assert default == ("", "the default (a)", "It is A.", "For all."), "who may use what is chosen unseen"
    assert first == ("a", "The A", "It is A.", "For all.")
    assert first.about == "It is A.\n\nFor all."
    assert second == ("b", "b (not downloaded)", "", "")
    assert second.about == ""
    assert texts.licence_of([default, first], "a") == texts.licence_of([default], "") == "For all."
    assert texts.licence_of([first], None) == ""
    assert texts.choices([], "", "gone", "en") == [("", "the default", "", ""), ("gone", "gone", "", "")]


def test_what_a_daemon_runs_on() -> None:
    info = pb.ServerInfo(device=pb.Device(name="AMD", kind="cpu"))
    assert texts.device(info) == "AMD (cpu)"
    info.notice = "No GPU."
    info.device.name = ""
    assert texts.device(info, "de") == "cpu (cpu)\nNo GPU."  # an older daemon sends English only
    info.notice_note.message = "NOTICE.NO_GPU"
    assert texts.device(info, "de").endswith(
        "\nDie GPU wird nicht genutzt, weil PyTorch keine brauchbare GPU findet."
    )
