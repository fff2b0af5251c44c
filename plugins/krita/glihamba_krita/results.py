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


def home_of(node: Node) -> Node | None:
    """The group that the plugin has made around this layer, its lowest one; else None."""
    group = node.parentNode()
    if group is None or group.type() != "grouplayer" or group.parentNode() is None:
        return None
    lowest, *others = children(group)
    if not others or lowest.uniqueId() != node.uniqueId() or not all(map(is_result, others)):
        return None
    return group


def original_of(node: Node) -> Node:
    """The layer that is meant when this one is chosen: a group of the plugin's or a result stands for it."""
    inner = children(node) if node.type() == "grouplayer" else []
    group = node if inner else node.parentNode()
    lowest = next(iter(inner or (children(group) if group is not None and is_result(node) else [])), None)
    return lowest if lowest is not None and home_of(lowest) is not None else node


def _patterns() -> list[re.Pattern[str]]:
    """How results are named in every language."""
    found = []
    for code in LANGUAGES:
        for name in ("EDITOR.name", "KRITA.name again"):
            plain = re.escape(messages.text(name, code, layer="\0", number="\1"))
            found.append(re.compile(plain.replace("\0", "(?P<layer>.*)").replace("\1", r"\d+"), re.S))
    return found
