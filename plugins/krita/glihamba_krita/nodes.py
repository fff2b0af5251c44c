"""Krita's layer tree and its open documents."""

from __future__ import annotations

from typing import TypeVar

from krita import Document, Krita, Node, View, Window

from .labels import LABELS
from .qt import QUuid, sip

T = TypeVar("T")

PIXEL_LAYERS = ("paintlayer", "grouplayer", "vectorlayer", "filelayer", "clonelayer", "filllayer")


def own(things: list[T]) -> list[T]:
    """The items of one of Krita's lists, owned by Python: Krita would leak them.

    Krita lists None for what it cannot wrap, such as a layer that it is just adding or removing.
    """
    there = [thing for thing in things if thing is not None]
    for thing in there:
        sip.transferback(thing)
    return there


def children(node: Node) -> list[Node]:
    """The layers in a group, from the lowest up, without masks and selections."""
    return [child for child in own(node.childNodes()) if not child.type().endswith("mask")]


def find(document: Document, node_id: QUuid) -> Node | None:
    """The node of that id, or None. Document.nodeByUniqueID returns a bare QObject in Krita 5.1."""
    root = document.rootNode()
    todo = own(root.childNodes()) if root is not None else []
    while todo:
        node = todo.pop()
        if node.uniqueId() == node_id:
            return node
        todo += own(node.childNodes())
    return None


def layer_of(node: Node | None) -> Node | None:
    """The node itself, or the layer whose mask it is; None for the document's own selection."""
    while node is not None and node.type().endswith("mask"):
        node = node.parentNode()
    return node if node is not None and node.parentNode() is not None else None


def selected_in(view: View) -> Node | None:
    """The layer that is active in this view. Document.activeNode() is that of the document's first view."""
    there = own(view.selectedNodes())
    active = view.document().activeNode()
    if active is not None and any(node.uniqueId() == active.uniqueId() for node in there):
        return layer_of(active)
    return layer_of(there[-1]) if there else None


def all_selected_in(view: View) -> list[Node]:
    """The layers that are chosen in this view, from the lowest up; none whose group is chosen, too."""
    wanted = {
        node.uniqueId().toString() for node in map(layer_of, own(view.selectedNodes())) if node is not None
    }
    root = view.document().rootNode()
    found, todo = [], children(root)[::-1] if root is not None else []
    while todo:
        node = todo.pop()
        if node.uniqueId().toString() in wanted:
            found.append(node)
        else:
            todo += children(node)[::-1]
    return found


def above(node: Node) -> list[Node]:
    """The groups around a node, from the innermost to the root."""
    found = []
    parent = node.parentNode()
    while parent is not None:
        found.append(parent)
        parent = parent.parentNode()
    return found


def is_drawn(node: Node) -> bool:
    """Whether the node holds shapes, which Krita draws once more by itself, a little later and finer."""
    return node.type() == "vectorlayer"


def is_hidden(node: Node) -> bool:
    """Whether the node or a group around it is hidden."""
    return not all(one.visible() for one in (node, *above(node)))


def show(node: Node) -> None:
    """Show the node and every group around it."""
    for one in (node, *above(node)):
        if not one.visible():
            one.setVisible(True)


def keyframes(document: Document, node: Node) -> tuple[int, ...]:
    """The times of the node's keyframes."""
    if not node.animated():
        return ()
    return tuple(time for time in range(document.animationLength() + 1) if node.hasKeyframeAtTime(time))


def moves(document: Document, node: Node) -> bool:
    """Whether the node, or anything in it, has several keyframes."""
    if len(keyframes(document, node)) > 1:
        return True
    return any(moves(document, child) for child in own(node.childNodes()))


def hide_above(node: Node) -> bool:
    """Hide every layer above the node and above each group around it; returns whether any was visible."""
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


def labelled(found: list[Node], label: str) -> bool:
    """Whether a visible layer among these, or in groups among them, has the colour label."""
    return any(
        node.visible() and (LABELS[node.colorLabel()] == label or labelled(children(node), label))
        for node in found
    )


def hide_unlabelled(node: Node, label: str) -> bool:
    """Hide every layer but this one and those with the colour label, or in a group that has it.

    Returns whether anything with the label is left to be seen beside the node.
    """
    kept = {one.uniqueId().toString() for one in (node, *above(node))}
    is_left = False
    todo = children(above(node)[-1])
    while todo:
        one = todo.pop()
        if one.uniqueId() == node.uniqueId():
            continue
        if one.uniqueId().toString() in kept:
            todo += children(one)
        elif LABELS[one.colorLabel()] == label:
            is_left = is_left or one.visible()
        elif labelled([one], label):
            todo += children(one)
        elif one.visible():
            one.setVisible(False)
    return is_left


def is_open(document: Document) -> bool:
    """Whether the document has not been closed."""
    return any(document == other for other in own(Krita.instance().documents()))


def view_of(document: Document) -> tuple[Window, View] | tuple[None, None]:
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
