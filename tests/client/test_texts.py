"""What both editors say: in every language, and nothing that nobody says."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from glihamba_client import texts
from glihamba_client.host import Progress
from glihamba_proto import harmonizer_pb2 as pb

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def test_both_languages_say_the_same() -> None:
    english, german = texts.TEXTS["en"], texts.TEXTS["de"]
    assert list(english) == list(german)
    for name, text in english.items():
        fields = {field for _, field, _, _ in Formatter().parse(text) if field}
        assert fields == {field for _, field, _, _ in Formatter().parse(german[name]) if field}, name
        assert text != german[name] or name == "model"


@pytest.mark.parametrize("editor", ["krita", "gimp"])
def test_every_text_is_said_by_each_editor(editor: str) -> None:
    sources = [*(PLUGINS / editor).rglob("*.py"), Path(texts.__file__)]
    said = "".join(path.read_text("utf-8") for path in sources)
    assert not [name for name in texts.TEXTS["en"] if not re.search(f'"{name}"(?!:)', said)]


def test_a_plugin_s_own_words_come_first() -> None:
    own = {"en": {"reading": "Looking"}, "de": {"reading": "Schauen"}}
    assert texts.find(own, "reading", "de") == "Schauen"
    assert texts.find(own, "writing", "en") == "Adding the result"
    with pytest.raises(KeyError):
        texts.find(own, "nonsense", "en")


def test_a_job_s_place_in_the_queue() -> None:
    assert texts.stage(Progress("QUEUED", 0.1, 3), "en") == "Waiting for other jobs (3 more before it)"
    assert texts.stage(Progress("QUEUED"), "de") == "Warten auf andere Aufträge (als nächstes)"
    assert texts.stage(Progress("APPLYING", 0.5), "en") == "Applying them at full size"


def test_models_to_choose_from() -> None:
    models = [pb.Model(name="a", title="The A", description="It is A.", installed=True), pb.Model(name="b")]
    assert texts.choices(models, "a", "", "en") == [
        ("", "the default (a)", ""),
        ("a", "The A", "It is A."),
        ("b", "b (not downloaded)", ""),
    ]
    assert texts.choices([], "", "gone", "en") == [("", "the default", ""), ("gone", "gone", "")]


def test_what_a_daemon_runs_on() -> None:
    info = pb.ServerInfo(device=pb.Device(name="AMD", kind="cpu"))
    assert texts.device(info) == "AMD (cpu)"
    info.notice = "No GPU."
    info.device.name = ""
    assert texts.device(info) == "cpu (cpu)\nNo GPU."
