"""Adds a result to its document, as one undo step.

The result of a layer that blends normally is put into a quick clipping group above the layer. The layer's own
alpha clips it there, which is exact where the object is soft. A layer that blends otherwise gets a plain
layer with the harmonized composite, as it is seen.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

from krita import Krita, Node, View

from glihamba_client.host import Pixels, Steps

from . import pixels
from .capture import Seen
from .chosen import ChosenLayer
from .nodes import children, find, is_drawn, is_open, view_of
from .pixels import size_of, space_of
from .qt import QUuid
from .texts import text
from .workspace import Workspace

PATIENCE = 3.0  # seconds for Krita to do what it was asked
LATE = 60.0  # seconds for Krita to make the group: it would still make one after we had given up
SETTLING = 0.2  # seconds in which Krita may still choose the new layer by itself


class Delivery:
    """One act of adding. `add` changes what is active in Krita: one at a time."""

    def __init__(self, layer: ChosenLayer, seen: Seen, workspace: Workspace) -> None:
        self.layer, self.seen, self.workspace, self.document = layer, seen, workspace, layer.document

    def prepared(self, raw: Pixels) -> Steps[Pixels]:
        """The result's pixels as they go into the layer: in the document's space, with their alpha."""
        seen = self.seen
        own = pixels.cropped(raw, seen.window, seen.rect) if seen.is_plain else raw
        result = own if isinstance(own, bytearray) else bytearray(own)
        pixels.set_alpha(result, seen.form.space.depth, seen.cover)
        yield None
        return (yield from self.workspace.converted(result, size_of(seen.rect), seen.form.space, seen.space))

    def add(self, result: Pixels) -> Steps[None]:
        """Raises `ClientError` when the result no longer fits or Krita does not take it."""
        yield from self.check_same()
        node, name = self.place(), text("name", self.layer.language, layer=self.layer.name)
        active = self.document.activeNode()
        back = active.uniqueId() if active else self.layer.node_id
        if self.seen.is_plain:
            yield from self.activate_again(self.beside(node, name, result), back)
            return
        front = yield from self.bring_to_front()
        layer = yield from self.clip()
        if layer is None:  # unclipped, the result would be opaque where the object is soft
            if front is not None:
                front.setVisible()
            if self.is_active(self.layer.node_id):
                yield from self.activate(back)
            raise self.layer.refuse("not added")
        yield from self.fill(layer, name, result)
        yield from self.activate_again(layer, back)
        if front is not None:
            front.setVisible()

    # --- whether the result still fits ------------------------------------------------------------

    def place(self) -> Node:
        """The layer the result belongs to; raises `ClientError` when the result no longer fits there."""
        node, document = self.layer.node(), self.document
        if (document.width(), document.height()) != self.seen.size or space_of(document) != self.seen.space:
            raise self.layer.refuse("resized")
        return node

    def check_same(self) -> Steps[None]:
        """Raises `ClientError` when the layer no longer shows what was read of it."""
        yield from self.until(self.is_still)
        node, looks = self.place(), 0
        if is_drawn(node):
            looks = zlib.crc32(node.toSvg().encode())
        else:
            left, top, width, height = self.seen.rect
            rows = max(1, pixels.STRIP // width)
            for row in range(0, height, rows):
                strip = node.projectionPixelData(left, top + row, width, min(rows, height - row))
                looks = zlib.crc32(strip, looks)
                yield None
        if looks != self.seen.looks:
            raise self.layer.refuse("moved")

    # --- the new layer ----------------------------------------------------------------------------

    def beside(self, node: Node, name: str, result: Pixels) -> Node:
        """A plain layer above the node."""
        layer = self.document.createNode(name, "paintlayer")
        layer.setInheritAlpha(node.inheritAlpha())
        layer.setPixelData(result, *self.seen.rect)
        node.parentNode().addChildNode(layer, node)
        return layer

    def clip(self) -> Steps[Node | None]:
        """A quick clipping group around the layer; its empty layer, or None where Krita makes none."""
        _, view = view_of(self.document)
        if view is None:
            return None
        yield from self.activate(self.layer.node_id, alone=view)
        yield from self.until(self.is_still)
        outer = self.place().parentNode().uniqueId()
        if Krita.instance().activeDocument() != self.document or not self.is_active(self.layer.node_id):
            return None
        action = Krita.instance().action("create_quick_clipping_group")
        if not action.isEnabled():
            return None
        action.trigger()
        yield from self.until(lambda: self.clipped(outer) is not None or self.is_gone(), LATE)
        return self.clipped(outer)

    def clipped(self, outer: QUuid) -> Node | None:
        """The layer that inherits its alpha from ours in a group that was not there before."""
        node = find(self.document, self.layer.node_id)
        group = node.parentNode() if node else None
        if group is None or group.uniqueId() == outer:
            return None
        return next((child for child in children(group) if child.inheritAlpha()), None)

    def fill(self, layer: Node, name: str, result: Pixels) -> Steps[None]:
        """Put the result into the empty layer of the new group."""
        layer.setName(name)
        layer.parentNode().setName(self.layer.name)
        layer.setPixelData(result, *self.seen.rect)
        yield from self.until(self.is_still)  # otherwise the next call would wait for all the drawing
        self.document.refreshProjection()

    # --- what is in front and active ----------------------------------------------------------------

    def bring_to_front(self) -> Steps[View | None]:
        """Show the document, as Krita's actions work on what is in front; returns the view that was there."""
        window, view = view_of(self.document)
        if window is None or view is None or Krita.instance().activeDocument() == self.document:
            return None
        before = window.activeView()
        window.activate()
        view.setVisible()  # Window.showView does nothing in Krita 5.1
        yield from self.until(lambda: Krita.instance().activeDocument() == self.document)
        return before

    def activate(self, node_id: QUuid, alone: View | None = None) -> Steps[None]:
        """Make a layer the active one, and in the view `alone` the only chosen one."""
        node = find(self.document, node_id)
        several = alone is not None and len(alone.selectedNodes()) > 1
        if node is None or (self.is_active(node_id) and not several):
            return
        if several:  # choosing the active one again would leave the others chosen
            self.document.setActiveNode(node.parentNode() or node)
            yield from self.until(lambda: not self.is_active(node_id))
        self.document.setActiveNode(node)
        yield from self.until(lambda: self.is_active(node_id))

    def activate_again(self, layer: Node, back: QUuid) -> Steps[None]:
        """Make the layer `back` the active one again.

        Krita makes the new layer the active one a moment later, and on a busy machine once more after that.
        """
        added = layer.uniqueId()
        yield from self.until(lambda: self.is_active(added))
        yield from self.activate(back)
        settled = time.monotonic() + SETTLING
        while time.monotonic() < settled:
            yield None
            if is_open(self.document) and self.is_active(added):
                yield from self.activate(back)

    def is_active(self, node_id: QUuid) -> bool:
        active = self.document.activeNode()
        return active is not None and active.uniqueId() == node_id

    def is_gone(self) -> bool:
        return find(self.document, self.layer.node_id) is None

    def is_still(self) -> bool:
        """Whether Krita draws nothing in this document at the moment."""
        still = self.document.tryBarrierLock()
        if still:
            self.document.unlock()
        return still

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> Steps[None]:
        """Wait for the condition, at most so many seconds."""
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            yield None
