"""Error codes and stages as sentences in the person's language (`locale/*.json`)."""

from __future__ import annotations

import functools
import json
import locale
import os
from pathlib import Path
from string import Formatter

from glihamba_client.errors import ClientError

_FOLDER = Path(__file__).with_name("locale")


@functools.cache
def catalogue(language: str) -> dict[str, str]:
    """All messages of one language, by code."""
    texts = json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))
    return {str(code): str(text) for code, text in texts.items()}


def languages() -> list[str]:
    """The languages there are messages for, e.g. `["de", "en"]`."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def choose(language: str = "") -> str:
    """The asked language if there is one, else the person's own, else English."""
    wishes = [
        language,
        os.environ.get("LANGUAGE", ""),
        os.environ.get("LC_ALL", ""),
        os.environ.get("LANG", ""),
    ]
    wish = next((wish for wish in wishes if wish), "") or locale.getlocale()[0] or ""
    short = wish.split(":")[0].split("_")[0].split(".")[0].split("-")[0].lower()
    return short if short in languages() else "en"


def sentence(error: ClientError, language: str = "") -> str:
    """What happened and what to do.

    In English the daemon's or host's own sentence where there is one: it names the sizes and files.
    """
    chosen = choose(language)
    if error.detail and (chosen == "en" or error.code not in catalogue(chosen)):
        return error.detail
    texts = catalogue(chosen)
    return fill(texts.get(error.code, texts["INTERNAL"]), error.fields)


def stage(name: str, language: str = "") -> str:
    """A stage of the job, e.g. "Reading the scene's colours"; the bare name when it is not known."""
    return catalogue(choose(language)).get(f"STAGE_{name}", name.capitalize())


def fill(text: str, fields: dict[str, object]) -> str:
    """`text` with its placeholders filled; one without a value becomes "?"."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name]
    return text.format(**{name: fields.get(name, "?") for name in names})
