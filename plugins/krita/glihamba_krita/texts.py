"""The plugin's own words, which stand in `glihamba_proto/locale` under KRITA, and those of both editors."""

from __future__ import annotations

from glihamba_client import texts
from glihamba_client.errors import ClientError
from glihamba_proto import messages

LANGUAGES = {code: messages.catalogue(code)["LANGUAGE"] for code in messages.languages()}


def text(name: str, language: str = "", **fields: object) -> str:
    """A text in the asked language, else the person's own, else English."""
    return texts.find("KRITA", name, language, **fields)


def refusal(name: str, **fields: object) -> ClientError:
    """A failure in the plugin's own words."""
    return texts.refusal("KRITA", name, **fields)
