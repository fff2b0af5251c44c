"""The catalogue: what is said to a person, by code, in every language there is a file for.

`locale/en.json` and its siblings map a code to a sentence with placeholders. A code that has several
sentences has several entries, "CODE.CASE"; "CODE" alone is the general one. To add a language, add a file:
its own names stand under LANGUAGE (its name), GROUPING (between groups of three digits) and WORD (words
that placeholders stand for). A placeholder is `{name}`, `{name:,}` for a number with its digits grouped, or
`{name:word}` for a word of the catalogue.
"""

from __future__ import annotations

import json
import locale
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

# Trailing metadata of a call that fails: the ErrorCode's name, and a serialized `Note` of the contract.
ERROR_KEY, NOTE_KEY = "glihamba-error", "glihamba-note-bin"

_LINE = "glihamba-note"  # marks a line of text that holds a note
_FOLDER = Path(__file__).resolve().parent / "locale"


class Note(NamedTuple):
    """Something said to a person: a warning, a notice, or why something failed.

    `message` is a key of the catalogue, `fields` fill its placeholders; a field may be a note, too. `detail`
    is the English sentence, for clients whose catalogue lacks the message; or one that says more than the
    catalogue's.
    """

    message: str
    fields: Mapping[str, Any] = {}
    detail: str = ""

    @property
    def code(self) -> str:
        """The message without its case."""
        return self.message.partition(".")[0]


def line_of(note: Note) -> str:
    """A note as one line of text; a daemon that cannot start leaves it for whoever has started it."""
    fields = {name: str(value) for name, value in note.fields.items()}
    return json.dumps({_LINE: note._replace(fields=fields)._asdict()})


def note_of_line(line: str) -> Note | None:
    """The note that a line holds, if it is one of `line_of`."""
    try:
        message, fields, detail = (json.loads(line)[_LINE][name] for name in Note._fields)
        return Note(str(message), dict(fields), str(detail))
    except (ValueError, KeyError, TypeError):
        return None


@lru_cache
def catalogue(language: str) -> dict[str, str]:
    """Message -> sentence of one language, e.g. "en"."""
    texts = json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))
    return {str(message): str(text) for message, text in texts.items()}


def languages() -> list[str]:
    """The languages there are messages in, e.g. `["de", "en"]`."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def choose(language: str = "") -> str:
    """The asked language if there is one, else the person's own, else English."""
    wishes = (language, *(os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL", "LANG")))
    wish = next((wish for wish in wishes if wish), "") or locale.getlocale()[0] or ""
    short = wish.split(":")[0].split("_")[0].split(".")[0].split("-")[0].lower()
    return short if short in languages() else "en"


def sentence(note: Note, language: str = "") -> str:
    """What happened and what to do, in the asked language, else the person's own.

    A detail is English: it is shown in English, and where the catalogue has no sentence.
    """
    chosen = choose(language)
    texts = catalogue(chosen)
    known = next((key for key in (note.message, note.code) if key in texts), "")
    if note.detail and (chosen == "en" or not known):
        return note.detail
    return text(known or "INTERNAL", chosen, **note.fields)


def text(message: str, language: str = "", **fields: object) -> str:
    """A sentence of the catalogue, filled. Raises KeyError for a message that is not in it."""
    chosen = choose(language)
    return _Filler(chosen).vformat(catalogue(chosen)[message], (), fields)


def printable(words: str) -> str:
    """The words with everything that would move a terminal's cursor, or colour it, as an escape.

    Names and texts from files may hold such characters. Line ends stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in words)


def stage(name: str, language: str = "") -> str:
    """What a job does in the contract's stage `name`; the bare name when it is not known."""
    return catalogue(choose(language)).get(f"STAGE.{name}", name.capitalize())


class _Filler(Formatter):
    """Fills placeholders; one without a value becomes "?", and a note its sentence without the full stop."""

    def __init__(self, language: str) -> None:
        self._language, self._texts = language, catalogue(language)

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        return kwargs.get(str(key), "?")

    def format_field(self, value: Any, format_spec: str) -> Any:
        words = sentence(value, self._language).rstrip(".") if isinstance(value, Note) else str(value)
        if format_spec == "word":
            return self._texts.get(f"WORD.{words}", words)
        if format_spec == "," and words.isdecimal():
            return f"{int(words):,}".replace(",", self._texts["GROUPING"])
        return words
