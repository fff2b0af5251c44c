"""A plugin's files without its editor: modules loaded by themselves, and what they say."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any


def load(path: Path) -> Any:
    """A module that needs no editor, by itself."""
    spec = importlib.util.spec_from_file_location(f"plugin_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def say_the_same(texts: Mapping[str, Mapping[str, str]]) -> None:
    """Every text is there in both languages, with the same placeholders."""
    english, german = texts["en"], texts["de"]
    assert list(english) == list(german)
    for name, text in english.items():
        fields, others = (
            {field for _, field, _, _ in Formatter().parse(words) if field} for words in (text, german[name])
        )
        assert fields == others, name


def left_over(texts: Mapping[str, Mapping[str, str]], folder: Path) -> list[str]:
    """The texts that no module in the folder names."""
    sources = "".join(path.read_text("utf-8") for path in folder.glob("*.py") if path.name != "texts.py")
    return [name for name in texts["en"] if f'"{name}"' not in sources]
