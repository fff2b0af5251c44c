"""The plugin's own words, which stand in `glihamba_proto/locale` under GIMP, and those of both editors."""

from __future__ import annotations

from glihamba_client import texts


def text(name: str, language: str = "", **fields: object) -> str:
    """A text in the asked language, else the person's own, else English."""
    return texts.find("GIMP", name, language, **fields)
