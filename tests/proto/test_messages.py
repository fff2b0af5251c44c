"""Every message has a sentence in every language, with the same placeholders."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from glihamba import errors
from glihamba.daemon.discovery import AlreadyRunning, CannotServe
from glihamba.daemon.failures import STATUS
from glihamba.settings import BadSetting
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto import messages
from glihamba_proto.errors import Failure
from glihamba_proto.messages import Note

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("backend/glihamba", "plugins", "proto/glihamba_proto")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if not path.name.startswith("harmonizer_")
]
CODES = {
    name: kind.code
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.HarmonizeError)
}
# Classes whose failures take their sentence from the catalogue, and their codes.
SAID_BY = CODES | {kind.__name__: kind.code for kind in (AlreadyRunning, BadSetting, CannotServe)}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def constants(node: ast.AST) -> list[str]:
    """The texts that an expression may be, as far as it says them itself."""
    if isinstance(node, ast.IfExp):
        return constants(node.body) + constants(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def said_in(path: Path) -> Iterator[tuple[str, set[str] | None]]:
    """Messages that a module names, each with its fields; None where the source does not show them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", "")
        words = {keyword.arg: keyword.value for keyword in node.keywords}
        fields = None if None in words else {str(word) for word in words if word != "case"}
        cases = constants(words["case"]) if "case" in words else [""]
        if name in SAID_BY and not node.args:
            yield from ((f"{SAID_BY[name]}.{case}".rstrip("."), fields) for case in cases)
        elif name == "ClientError" and node.args:
            known = None if len(node.args) > 1 else fields
            codes = constants(node.args[0])
            yield from ((f"{code}.{case}".rstrip("."), known) for code in codes for case in cases)
        elif name == "Note" and node.args:
            table = node.args[1] if len(node.args) > 1 else ast.Dict([], [])
            keys = set(constants_of_keys(table)) if isinstance(table, ast.Dict) else None
            yield from ((message, keys) for message in constants(node.args[0]) if message)


def constants_of_keys(table: ast.Dict) -> list[str]:
    return [str(key.value) for key in table.keys if isinstance(key, ast.Constant)]


def test_the_languages_say_the_same() -> None:
    assert messages.languages() == ["de", "en"]
    english = messages.catalogue("en")
    for language in messages.languages():
        texts = messages.catalogue(language)
        assert list(texts) == list(english)
        for message, text in texts.items():
            assert placeholders(text) == placeholders(english[message]), (language, message)


def test_every_code_and_stage_of_the_contract_has_its_words() -> None:
    texts = messages.catalogue("en")
    assert set(pb.ErrorCode.keys()) <= set(texts)
    assert set(STATUS) == set(pb.ErrorCode.keys()) - {"ERROR_CODE_UNSPECIFIED"}
    assert set(CODES.values()) <= set(STATUS)
    stages = pb.Progress.Stage.DESCRIPTOR.values_by_name
    assert {f"STAGE.{name}" for name in stages if name != "STAGE_UNSPECIFIED"} <= set(texts)


@pytest.mark.parametrize("language", messages.languages())
def test_failures_and_warnings_are_sentences(language: str) -> None:
    short = ("STAGE", "WORD", "EDITOR", "KRITA", "GIMP", "LANGUAGE", "GROUPING")
    texts = messages.catalogue(language)
    sentences = {key: text for key, text in texts.items() if key.partition(".")[0] not in short}
    assert all(text[-1] in ".“" for text in sentences.values())
    for other in set(messages.languages()) - {language}:
        assert not set(sentences.values()) & set(messages.catalogue(other).values())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_everything_that_is_said_is_in_the_catalogue_with_its_fields(path: Path) -> None:
    texts = messages.catalogue("en")
    for message, fields in said_in(path):
        if message in ("BAD_FILE",):  # a sentence of the command line about a file
            continue
        assert message in texts, (path.name, message)
        assert fields is None or placeholders(texts[message]) <= fields, (path.name, message)


def test_nothing_is_in_the_catalogue_that_nobody_says() -> None:
    source = "\n".join(path.read_text("utf-8") for path in SOURCES)
    ours = ("STAGE", "WORD", "EDITOR", "KRITA", "GIMP", "LANGUAGE", "GROUPING")
    contract = set(pb.ErrorCode.keys())
    for message in messages.catalogue("en"):
        code, _, case = message.partition(".")
        if code not in ours and message not in contract:
            assert f'"{case or code}"' in source or f'"{message}"' in source or f"{code}.{{" in source, (
                message
            )


def test_a_new_language_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {key: f"<{text}>" for key, text in messages.catalogue("en").items()}
    (tmp_path / "en.json").write_text(json.dumps(messages.catalogue("en")), "utf-8")
    (tmp_path / "eo.json").write_text(json.dumps(texts | {"GROUPING": " "}), "utf-8")
    monkeypatch.setattr(messages, "_FOLDER", tmp_path)
    messages.catalogue.cache_clear()
    try:
        assert messages.languages() == ["en", "eo"]
        assert messages.choose("eo_XX.UTF-8") == "eo"
        note = Note("TOO_LARGE", {"plane": "mask", "width": "60", "height": "40", "limit": "150000000"})
        assert messages.sentence(note, "eo").startswith(
            "<The <mask> has 60 x 40 pixels, but at most 150 000 000"
        )
        assert messages.stage("QUEUED", "eo") == "<Waiting for other jobs>"
    finally:
        messages.catalogue.cache_clear()


def test_placeholders() -> None:
    note = Note("TOO_LARGE", {"plane": "mask", "width": 60, "height": 40, "limit": 2399})
    assert messages.sentence(note, "en").startswith("The mask has 60 x 40 pixels, but at most 2,399 are")
    assert messages.sentence(note, "de").startswith(
        "Das sind 60 x 40 Pixel (Maske), und höchstens 2.399 werden"
    )
    assert "? x ?" in messages.sentence(Note("TOO_LARGE"), "en")  # fields that an older daemon does not send


def test_a_detail_is_for_english_and_for_what_the_catalogue_lacks() -> None:
    note = Note("EMPTY_MASK", {}, "The mask is black.")
    assert messages.sentence(note, "en") == "The mask is black."
    assert messages.sentence(note, "de") == messages.catalogue("de")["EMPTY_MASK"]
    newer = Note("EMPTY_MASK.BY_MOONLIGHT", {}, "It is dark.")
    assert messages.sentence(newer, "de") == messages.catalogue("de")["EMPTY_MASK"]
    assert messages.sentence(Note("FROM_THE_FUTURE", {}, "It says so."), "de") == "It says so."
    assert messages.sentence(Note("FROM_THE_FUTURE"), "en") == messages.catalogue("en")["INTERNAL"]


def test_a_note_as_a_line_and_in_another_note() -> None:
    why = Note("CANNOT_SERVE.LOG", {"path": Path("ö"), "reason": "full"})
    line = messages.line_of(why)
    assert line.isascii()
    assert messages.note_of_line(line) == why._replace(fields={"path": "ö", "reason": "full"})
    for other in (
        "",
        "{}",
        "[1]",
        "Error: no.",
        '{"glihamba-note": 3}',
        '{"glihamba-note": {"message": "A"}}',
    ):
        assert messages.note_of_line(other) is None
    failed = Failure("START_FAILED", reason=why, log="launch.log")
    assert failed.sentence("de") == (
        "Der Dienst ist nicht gestartet: Die Protokolldatei ö ließ sich nicht schreiben (full): Machen Sie "
        "ihren Ordner beschreibbar, oder nennen Sie in GLIHAMBA_LOG_DIR einen anderen. "
        "Führen Sie „glihamba doctor“ aus; das Protokoll ist launch.log."
    )


def test_the_language_is_the_person_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de_AT:en")
    assert messages.choose() == "de"
    assert messages.choose("en") == "en"
    monkeypatch.setenv("LANGUAGE", "xx")
    assert messages.choose() == "en"


@pytest.mark.parametrize(
    "failure",
    [
        errors.BadRequest("The folder is empty."),
        errors.QueueFull(case="MEMORY", megabytes=3000),
        Failure("TLS_FAILED", address="studio:50051", reason="expired"),
    ],
)
def test_failures_come_whole_from_another_process(failure: Failure) -> None:
    again = pickle.loads(pickle.dumps(failure))
    assert type(again) is type(failure)
    assert (again.note, str(again)) == (failure.note, str(failure))
