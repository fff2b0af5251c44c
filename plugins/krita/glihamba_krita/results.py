"""Which layers the plugin has added, known by their names, and how the next one is called."""

from __future__ import annotations

import re

from krita import Node

from glihamba_proto import messages

from .nodes import children
from .texts import LANGUAGES, text


def base_of(name: str) -> str:
    """A layer's name without what a result adds to it."""
    for pattern in _patterns():
        found = pattern.fullmatch(name)
        if found is not None:
            return base_of(found["layer"])
    return name


def name_of(layer: str, earlier: int, language: str) -> str:
    """The name of a layer's next result, when it has so many already."""
    layer = base_of(layer)
    if not earlier:
        return text("name", language, layer=layer)
    return text("name again", language, layer=layer, number=earlier + 1)


def is_result(node: Node) -> bool:
    """Whether the plugin has added this layer, by its name."""
    return base_of(node.name()) != node.name()


def results_in(group: Node) -> list[Node]:
    """The results in a group, from the lowest up."""
    return [child for child in children(group) if is_result(child)]


def home_of(node: Node) -> Node | None:
    """The group that the plugin has made around this layer, which is its lowest; else None."""
    group = node.parentNode()
    if group is None or group.type() != "grouplayer" or group.parentNode() is None:
        return None
    is_lowest = children(group)[0].uniqueId() == node.uniqueId()
    return group if is_lowest and not is_result(node) and results_in(group) else None


def original_of(node: Node) -> Node:
    """The layer that is meant when this one is chosen.

    A result stands for its original, and so does a group of nothing but the original and its results.
    """
    group = node.parentNode() if is_result(node) else node
    inner = children(group) if group is not None and group.type() == "grouplayer" else []
    if not inner or home_of(inner[0]) is None:
        return node
    is_ours_alone = len(results_in(inner[0].parentNode())) == len(inner) - 1
    return inner[0] if is_result(node) or is_ours_alone else node


def _patterns() -> list[re.Pattern[str]]:
    """How results are named in every language."""
    found = []
    for code in LANGUAGES:
        for name in ("EDITOR.name", "KRITA.name again", "KRITA.edge layer"):
            plain = re.escape(messages.text(name, code, layer="\0", number="\1"))
            found.append(re.compile(plain.replace("\0", "(?P<layer>.*)").replace("\1", r"\d+"), re.S))
    return found
