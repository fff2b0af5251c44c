"""Krita's layer tree: finding, hiding, and what there is open."""

from __future__ import annotations

from typing import Any

from krita import Krita

from .qt import sip

PIXEL_LAYERS = ("paintlayer", "grouplayer", "vectorlayer", "filelayer", "clonelayer", "filllayer")


def own(things: list[Any]) -> list[Any]:
    """Krita's lists leak what is in them unless Python owns it."""
    for thing in things:
        if thing is not None:
            sip.transferback(thing)
    return things


def children(node: Any) -> list[Any]:
    """The layers in a group, from the lowest up; masks and the selection are not among them."""
    return [child for child in own(node.childNodes()) if not child.type().endswith("mask")]


def find(document: Any, node_id: Any) -> Any:
    """The node of that id, or None. Document.nodeByUniqueID returns a bare QObject in Krita 5.1."""
    root = document.rootNode()
    todo = own(root.childNodes()) if root is not None else []
    while todo:
        node = todo.pop()
        if node.uniqueId() == node_id:
            return node
        todo += own(node.childNodes())
    return None


def is_drawn(node: Any) -> bool:
    """Whether the node holds shapes: Krita draws them once more by itself, a little later and finer."""
    return bool(node.type() == "vectorlayer")


def hidden(node: Any) -> bool:
    """Whether the node or a group around it is hidden."""
    while node is not None:
        if not node.visible():
            return True
        node = node.parentNode()
    return False


def hide_above(node: Any) -> bool:
    """Hide every layer above the node and above each group around it; whether there was one in sight."""
    found = False
    parent = node.parentNode()
    while parent is not None:
        is_above = False
        for sibling in children(parent):
            if is_above and sibling.visible():
                sibling.setVisible(False)
                found = True
            is_above = is_above or sibling.uniqueId() == node.uniqueId()
        node, parent = parent, parent.parentNode()
    return found


def is_open(document: Any) -> bool:
    return any(document == other for other in own(Krita.instance().documents()))


def view_of(document: Any) -> tuple[Any, Any]:
    """A window and its view of the document, the active window's if possible; (None, None) without one."""
    windows = own(Krita.instance().windows())
    active = Krita.instance().activeWindow()
    if active is not None:
        windows.insert(0, active)
    for window in windows:
        for view in own(window.views()):
            if view.document() == document:
                return window, view
    return None, None
