"""The plug-in's files without a GIMP: the syntax for old Pythons, the messages in both languages."""

from __future__ import annotations

import ast
from pathlib import Path

import assemble
import pytest
import words

PLUGIN = Path(assemble.__file__).parent / "gimp" / "glihamba_gimp"
FILES = sorted(PLUGIN.glob("*.py"))


@pytest.mark.parametrize("path", [PLUGIN.with_name("glihamba.py"), *FILES], ids=lambda path: path.name)
def test_the_syntax(path: Path) -> None:
    """The files that GIMP reads first must explain the failure if Python cannot read the others."""
    oldest = (3, 7) if path.name in ("glihamba.py", "__init__.py", "procedure.py") else (3, 10)
    ast.parse(path.read_text("utf-8"), str(path), feature_version=oldest)


def test_the_words_are_the_catalogue_s() -> None:
    texts = words.load(PLUGIN / "texts.py")
    assert texts.text("moved", "de", layer="Schuh").startswith("„Schuh“ wurde inzwischen verschoben")
    assert texts.text("empty", "de", layer="Schuh").startswith("„Schuh“ ist innerhalb der Leinwand leer")


def test_every_text_that_is_used_exists_and_none_is_left_over() -> None:
    assert not words.left_over("GIMP", PLUGIN)


def test_the_words_for_a_damaged_plug_in_are_those_of_a_whole_one() -> None:
    """`procedure.py` has its own English texts for when nothing else can be imported."""
    source = ast.parse((PLUGIN / "procedure.py").read_text("utf-8"))
    (english,) = (
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ENGLISH"
    )
    text = words.load(PLUGIN / "texts.py").text
    assert all(english[name] == text(name, "en") for name in ("menu", "strength"))
    assert text("tip", "en")
