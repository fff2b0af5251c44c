"""Adds a result to its document, as one undo step.

The layer and its result go into one group, which moves as one. Krita's own action makes the group, and the
result is put into it. A layer that blends normally clips its result by its own alpha, which is exact where
the object is soft. One that blends otherwise would blend with nothing in a group, and Krita 5.1 crashes when
a group is undone that was passed through since: it gets the harmonized composite, as it is seen, on a layer
above it. A later result of the same layer is added to the group above the earlier ones.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence

from krita import Krita, Node, View

from glihamba_client.host import Pixels, Steps

from . import curves, edges, pixels
from .capture import Seen
from .chosen import ChosenLayer
from .edges import Edge
from .nodes import find, is_drawn, is_open, keyframes, own, selected_in, view_of
from .pixels import size_of, space_of
from .qt import QUuid
from .results import base_of, home_of, name_of, results_in
from .texts import text
from .undo import name_next_step
from .workspace import Workspace

ERASE = "erase"  # Krita's name of the blending mode
PATIENCE = 3.0  # seconds for Krita to do what it was asked
LATE = 60.0  # seconds for Krita to make the group: it would still make one after we had given up
UNSEEN = 2.0  # levels of 255 by which curves may be off without a word
TURNS = 20  # of Krita's event loop, a millisecond or more each
SETTLING = 0.3  # seconds in which Krita may still choose the new layer by itself


class Delivery:
    """One act of adding. `add` changes what is active in Krita: one at a time."""

    def __init__(
        self, layer: ChosenLayer, seen: Seen, workspace: Workspace, is_editable: bool = False
    ) -> None:
        self.layer, self.seen, self.workspace, self.document = layer, seen, workspace, layer.document
        self.is_editable = is_editable
        self.eraser: Node | None = None
        """A layer that erases the rim of the object."""
        self.notes: list[str] = []
        """What the person is to be told of the result."""

    def prepared(self, raw: Pixels) -> Steps[Node]:
        """The result as a layer, not yet in the document: in its space, with the result's alpha."""
        seen = self.seen
        given = pixels.cropped(raw, seen.window, seen.rect) if seen.is_plain else raw
        result = given if isinstance(given, bytearray) else bytearray(given)
        if self.layer.edge and (seen.edge is None or self.is_editable):
            self.note("no edge")
        elif seen.edge is not None:
            yield from edges.recolour(result, seen.form.space.depth, size_of(seen.rect), seen.edge)
            self.eraser = self.eraser or (yield from self.erasing(seen.edge))
        pixels.set_alpha(result, seen.form.space.depth, seen.style.alpha if seen.style else seen.cover)
        yield None
        rect = seen.rect
        done = yield from self.workspace.converted(result, size_of(rect), seen.form.space, seen.space)
        if self.is_editable:
            if seen.is_plain or seen.style or not curves.can_be_fitted(seen.space):
                self.note("no curves")
            else:
                return (yield from self.editable(done))
        if seen.style:
            rect, done = yield from self.workspace.styled(done, rect, seen.space, seen.style)
        layer = self.document.createNode(base_of(self.layer.name), "paintlayer")
        layer.setPixelData(done, *rect)
        return layer

    def erasing(self, edge: Edge) -> Steps[Node]:
        """The layer that erases the rim, not yet in the document."""
        rect, space = self.seen.rect, self.seen.space
        raw = yield from self.workspace.converted(edges.eraser(edge), size_of(rect), pixels.SRGB_8, space)
        name = text("edge layer", self.layer.language, layer=base_of(self.layer.name))
        layer = self.document.createNode(name, "paintlayer")
        layer.setBlendingMode(ERASE)
        layer.setPixelData(raw, *rect)
        return layer

    def editable(self, result: Pixels) -> Steps[Node]:
        """The result as a filter layer with curves, for the look that the layer has in its group by now."""
        seen, node = self.seen, self.layer.node()
        shown = home_of(node) or node
        raw = shown.projectionPixelData(*seen.rect)
        size = size_of(seen.rect)
        before = yield from self.workspace.converted(raw, size, space_of(shown), seen.space)
        fitted = curves.fit(before, result, seen.cover, seen.space)
        yield None
        if fitted.error > UNSEEN:
            self.note("curves off", levels=f"{fitted.error:.1f}")
        try:
            layer = self.workspace.filter_layer(fitted, seen.space, seen.selection is None)
        except OSError as error:
            raise self.layer.refuse("curves not written", reason=error) from error
        if seen.selection is not None:
            layer.setPixelData(seen.cover, *seen.rect)  # of a filter layer this is its mask
        return layer

    def note(self, name: str, **fields: object) -> None:
        self.notes.append(text(name, self.layer.language, layer=self.layer.name, **fields))

    def add(self, results: Sequence[Node]) -> Steps[None]:
        """Add the results of one layer: the first one on top, the others hidden below it.

        Raises `ClientError` when they no longer fit or Krita does not take them. Krita makes a step of its
        own for each result that joins a group which is there already.
        """
        yield from self.check_same()
        node, before = self.place(), self.active()
        home = home_of(node)
        earlier = results_in(home) if home is not None else []
        count = sum(one.blendingMode() != ERASE for one in earlier)
        for number, result in enumerate(results):
            result.setName(name_of(self.layer.name, count + number, self.layer.language))
            result.setVisible(number == 0)
            if result.type() == "paintlayer":
                result.setInheritAlpha(not self.seen.is_plain or node.inheritAlpha())
        upwards = list(reversed(results))
        if self.eraser is not None and len(earlier) == count:
            upwards.append(self.eraser)
        words = text("undo", self.layer.language)
        if home is not None or self.seen.is_plain:
            parent, below = (node.parentNode(), node) if home is None else (home, earlier[-1])
            for result in upwards:
                name_next_step(words)
                parent.addChildNode(result, below)
                below = result
        else:
            front = yield from self.bring_to_front()
            home = yield from self.grouped(upwards, words)
            if home is None and self.is_active(self.layer.node_id):
                yield from self.activate(before)
            if front is not None:
                front.setVisible()
            if home is None:
                raise self.layer.refuse("not added")
        keep = home if home is not None and before == self.layer.node_id else find(self.document, before)
        yield from self.settle(keep or node, node, home, *results)

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
        if keyframes(self.document, node) != self.seen.frames:
            raise self.layer.refuse("moved")
        if len(self.seen.frames) > 1 and self.document.currentTime() != self.seen.time:
            return  # it shows another frame by now
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

    # --- the group ----------------------------------------------------------------------------------

    def grouped(self, results: Sequence[Node], words: str) -> Steps[Node | None]:
        """A group of the layer and its results, from the lowest up, or None where Krita makes none."""
        view = self.view()
        if view is None:
            return None
        yield from self.activate(self.layer.node_id)
        yield from self.until(self.is_still)
        outer = self.place().parentNode().uniqueId()
        action = Krita.instance().action("create_quick_group")
        if not self.is_active(self.layer.node_id) or not action.isEnabled():
            return None
        name_next_step(words)
        action.trigger()
        yield from self.until(lambda: self.group(outer) is not None or self.is_gone(), LATE)
        yield from self.turns()
        group = self.group(outer)
        if group is None:
            return None
        group.setName(base_of(self.layer.name))  # also ends Krita's step, which would stay open for seconds
        yield from self.until(self.is_still)
        yield from self.turns()
        group, node = self.group(outer), find(self.document, self.layer.node_id)
        if group is None or node is None:
            return None
        # Node.addChildNode would be an undo step of its own. This is none: the group keeps the results, and
        # leaves and comes back with them.
        group.setChildNodes([node, *results])
        yield from self.until(self.is_still)  # otherwise the next call would wait for all the drawing
        self.document.refreshProjection()
        return group

    def group(self, outer: QUuid) -> Node | None:
        """The new group around the layer, which lay in `outer` before."""
        node = find(self.document, self.layer.node_id)
        group = node.parentNode() if node else None
        return None if group is None or group.uniqueId() == outer else group

    # --- what is in front and active ----------------------------------------------------------------

    def view(self) -> View | None:
        """The view that Krita's actions work on, if it shows the document."""
        window = Krita.instance().activeWindow()
        view = window.activeView() if window is not None else None
        return view if view is not None and view.document() == self.document else None

    def bring_to_front(self) -> Steps[View | None]:
        """Show the document, as Krita's actions work on what is in front; returns the view that was there."""
        window, view = view_of(self.document)
        if window is None or view is None or self.view() is not None:
            return None
        before = window.activeView()
        window.activate()
        view.setVisible()  # Window.showView does nothing in Krita 5.1
        yield from self.until(lambda: self.view() is not None)
        return before

    def active(self) -> QUuid:
        """The layer that is active where the person looks, or the one that is harmonized."""
        view = self.view()
        node = selected_in(view) if view is not None else self.document.activeNode()
        return node.uniqueId() if node is not None else self.layer.node_id

    def activate(self, node_id: QUuid) -> Steps[None]:
        """Make a layer the active one, and the only chosen one."""
        node = find(self.document, node_id)
        if node is None or self.is_active(node_id):
            return
        chosen = own(view.selectedNodes()) if (view := self.view()) is not None else []
        others = [other for other in chosen if other.uniqueId() != node_id]
        if others and len(chosen) > 1:
            # Choosing the active one again, or a group around it, would leave the others chosen.
            self.document.setActiveNode(others[0])
            yield from self.until(lambda: len(self.chosen()) < 2)
        self.document.setActiveNode(node)
        yield from self.until(lambda: self.is_active(node_id))

    def settle(self, keep: Node, *added: Node | None) -> Steps[None]:
        """Make the layer `keep` the active one.

        Krita makes a new layer the active one a moment later, and on a busy machine once more after that.
        """
        kept = keep.uniqueId()
        others = {node.uniqueId().toString() for node in added if node is not None} - {kept.toString()}
        yield from self.until(lambda: any(one in others for one in self.chosen()), SETTLING)
        yield from self.activate(kept)
        settled = time.monotonic() + SETTLING
        while time.monotonic() < settled:
            yield None
            if is_open(self.document) and any(one in others for one in self.chosen()):
                yield from self.activate(kept)

    def chosen(self) -> list[str]:
        """The layers that are chosen where the person looks."""
        view = self.view()
        nodes = own(view.selectedNodes()) if view is not None else own([self.document.activeNode()])
        return [node.uniqueId().toString() for node in nodes if node is not None]

    def is_active(self, node_id: QUuid) -> bool:
        return self.chosen() == [node_id.toString()]

    def is_gone(self) -> bool:
        return find(self.document, self.layer.node_id) is None

    def is_still(self) -> bool:
        """Whether Krita draws nothing in this document at the moment."""
        still = self.document.tryBarrierLock()
        if still:
            self.document.unlock()
        return still

    def turns(self) -> Steps[None]:
        """Let Krita's event loop go on, in which its docks learn of new layers."""
        for _ in range(TURNS):
            yield None

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> Steps[None]:
        """Wait for the condition, at most so many seconds."""
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            yield None
