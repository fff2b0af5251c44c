"""The plugin's own words, which stand in `glihamba_proto/locale` under GIMP, and those of both editors."""

from __future__ import annotations

from glihamba_client import texts
from glihamba_client.errors import ClientError


def text(name: str, language: str = "", **fields: object) -> str:
    """A text in the asked language, else the person's own, else English."""
    return texts.find("GIMP", name, language, **fields)


def refusal(name: str, **fields: object) -> ClientError:
    """A failure in the plugin's own words."""
    return texts.refusal("GIMP", name, **fields)
