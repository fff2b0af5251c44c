"""Krita as a host of the use case: reads one layer of one document, adds one result. GUI thread only.

    yield from host.read()                                  in pieces, so that Krita stays alive
    yield from harmonize_layer(host, service, model=...)    `capture` and `deliver` only pass on
    yield from host.write()                                 one undo step

The result of a layer that blends normally lies in a quick clipping group above the layer: exact where
the object is soft, since the layer's own alpha clips it. A layer that blends otherwise gets a plain
layer with the harmonized composite instead, as it is seen.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from krita import Krita, Selection

from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Progress

from . import pixels
from .nodes import PIXEL_LAYERS, children, find, hidden, hide_above, is_drawn, is_open, view_of
from .pixels import Rect, Space, space_of
from .texts import text

PATIENCE = 3.0  # seconds for Krita to do what it was asked
LATE = 60.0  # seconds for the group that Krita was asked for: given up, it would come all the same
SETTLING = 0.2  # seconds in which Krita may still choose the new layer by itself
LOOK = 0.3  # seconds between two looks whether the document is still there


class Window(Protocol):
    """What the host shows to the person, and hears of them."""

    cancelled: bool

    def show_progress(self, progress: Progress) -> None: ...
    def show_stage(self, words: str) -> None: ...
    def message(self, words: str, failed: bool) -> None: ...


class KritaHost:
    """One act of harmonizing `node` of `document`."""

    writing = False  # by any host: what is active in Krita is one thing for all of them

    def __init__(self, document: Any, node: Any, window: Window, language: str = "") -> None:
        self.document, self.window, self.language = document, window, language
        self.node_id, self.layer_name = node.uniqueId(), node.name()
        self.clone: Any = None
        self._captured: Capture | None = None
        self._harmonized: Harmonized | None = None
        self._looked = 0.0

    def refuse(self, name: str, **fields: object) -> ClientError:
        """A failure in the plugin's own words."""
        return ClientError(f"KRITA_{name}", text(name, self.language, layer=self.layer_name, **fields))

    # --- the protocol -----------------------------------------------------------------------------

    def capture(self) -> Capture:
        assert self._captured is not None
        return self._captured

    def deliver(self, harmonized: Harmonized) -> None:
        self._captured, self._harmonized = None, harmonized

    def progress(self, progress: Progress) -> None:
        if not self.window.cancelled:
            self.check_open()
        self.window.show_progress(progress)

    def cancelled(self) -> bool:
        return self.window.cancelled

    def message(self, words: str, failed: bool = False) -> None:
        self.window.message(words, failed)

    # --- reading ----------------------------------------------------------------------------------

    def read(self) -> Iterator[None]:
        """Gather the capture. All that may change is taken in the first piece; raises `ClientError`."""
        self.window.show_stage(text("reading", self.language))
        yield  # the progress is drawn
        document = self.document
        document.waitForDone()
        node = self.checked()
        self.size = document.width(), document.height()
        self.space, own = space_of(document), space_of(node)
        self.plain = node.blendingMode() != "normal" or node.inheritAlpha()
        self.rect = self.bounds(node)
        self.clone = document.clone()
        self.clone.setBatchmode(True)
        twin = find(self.clone, self.node_id)
        is_passed_through = node.type() == "grouplayer" and node.passThroughMode()
        if is_passed_through:
            twin.setPassThroughMode(False)  # else it has no projection of its own
        must_render = hide_above(twin) or is_passed_through
        chosen = self.selected()
        layer = node.projectionPixelData(*self.rect)
        self.looks = zlib.crc32(node.toSvg().encode() if is_drawn(node) else layer)
        whole = (0, 0, *self.size)
        composite = None if must_render else document.pixelData(*whole)
        yield
        if must_render:
            self.clone.refreshProjection()
            self.clone.waitForDone()
            yield
            composite = self.clone.pixelData(*whole)
            if is_passed_through:
                layer = twin.projectionPixelData(*self.rect)
            yield
        alpha = yield from self.alpha(layer, own, self.rect)
        mask = self.coverage(alpha, chosen)
        self.form = pixels.form_of(self.clone, self.space)
        yield
        seen = yield from self.converted(composite, self.size, self.space, self.form.space)
        cover = pixels.mask_plane(mask, self.rect, self.size)
        picture = pixels.plane(seen, whole, self.form)
        if self.plain:
            shown = yield from self.alpha(composite, self.space, whole)
            self.cover = pixels.where(bytes(pixels.cropped(shown, self.size, self.rect)), mask)
            self._captured = Capture(picture, cover)
            return
        self.cover = pixels.where(chosen or b"\xff" * len(alpha), alpha)
        own_pixels = yield from self.converted(layer, self.rect[2:], own, self.form.space)
        self._captured = Capture(picture, cover, pixels.plane(own_pixels, self.rect, self.form))

    def checked(self) -> Any:
        """The layer, if it can be harmonized."""
        self.check_open()
        node = find(self.document, self.node_id)
        if node is None:
            raise self.refuse("deleted")
        if node.type() not in PIXEL_LAYERS:
            raise self.refuse("not a layer", kind=node.type())
        if hidden(node):
            raise self.refuse("hidden")
        if node.animated():
            raise self.refuse("animated")
        return node

    def bounds(self, node: Any) -> Rect:
        """What of the layer lies on the canvas and in the selection."""
        width, height = self.size
        left, top, right, bottom = 0, 0, width, height
        box = node.bounds()
        if not any(child.type().endswith("mask") for child in node.childNodes()):  # a mask may move pixels
            left, top = max(left, box.x()), max(top, box.y())
            right, bottom = min(right, box.x() + box.width()), min(bottom, box.y() + box.height())
        if right <= left or bottom <= top:
            raise self.refuse("empty")
        self.selection = self.document.selection()
        if self.selection is not None and self.selection.width() > 0 and self.selection.height() > 0:
            chosen = self.selection
            left, top = max(left, chosen.x()), max(top, chosen.y())
            right = min(right, chosen.x() + chosen.width())
            bottom = min(bottom, chosen.y() + chosen.height())
            if right <= left or bottom <= top:
                raise self.refuse("selected nothing")
        else:
            self.selection = None
        return left, top, right - left, bottom - top

    def selected(self) -> bytes:
        """The selection's coverage of the layer's rectangle; nothing when there is no selection."""
        if self.selection is None:
            return b""
        self.selection = self.selection.duplicate()
        return bytes(self.selection.pixelData(*self.rect))

    def coverage(self, alpha: bytes, chosen: bytes) -> bytes:
        """Where the object is, one byte a pixel: the layer's alpha, and no more of it than is selected."""
        if alpha.count(0) == len(alpha):
            raise self.refuse("empty" if self.selection is None else "selected nothing")
        if self.selection is None:
            return alpha
        shape = Selection()
        shape.setPixelData(alpha, *self.rect)
        self.selection.intersect(shape)  # the lesser of both
        both = bytes(self.selection.pixelData(*self.rect))
        if both.count(0) == len(both):
            raise self.refuse("selected nothing")
        return both

    def alpha(self, raw: Any, space: Space, rect: Rect) -> Generator[None, None, bytes]:
        if (space.model, space.depth) == ("RGBA", "U8"):
            return pixels.alpha_of(raw)
        done = yield from self.converted(raw, rect[2:], space, pixels.SRGB_8)
        return pixels.alpha_of(done)

    def converted(
        self, raw: Any, size: tuple[int, int], source: Space, target: Space
    ) -> Generator[None, None, Any]:
        """Pixels in another space, in pieces; raises `ClientError` CANCELLED between them."""
        if source == target:
            return raw
        steps = pixels.converted(self.clone, raw, size, source, target)
        while True:
            if self.cancelled():
                raise ClientError("CANCELLED")
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            yield

    # --- writing ----------------------------------------------------------------------------------

    def write(self) -> Iterator[None]:
        """Add the result, as one undo step; nothing when there is none. Raises `ClientError`."""
        if self._harmonized is None:
            return
        self.window.show_stage(text("writing", self.language))
        raw = self._harmonized.plane.data
        self._harmonized = None
        result = pixels.cropped(raw, self.size, self.rect) if self.plain else raw
        result = result if isinstance(result, bytearray) else bytearray(result)
        pixels.set_alpha(result, self.form.space.depth, self.cover)
        yield
        result = yield from self.converted(result, self.rect[2:], self.form.space, self.space)
        while KritaHost.writing:
            yield
        KritaHost.writing = True
        try:
            yield from self.add(result)
        finally:
            KritaHost.writing = False

    def place(self) -> Any:
        """The layer the result belongs to; raises `ClientError` when there is no place for it any more."""
        self.check_open()
        node = find(self.document, self.node_id)
        if node is None:
            raise self.refuse("deleted")
        document = self.document
        if (document.width(), document.height()) != self.size or space_of(document) != self.space:
            raise self.refuse("resized")
        return node

    def check_same(self) -> Iterator[None]:
        """Raises `ClientError` when the layer no longer shows what was read of it."""
        yield from self.until(self.is_still)
        node, looks = self.place(), 0
        if is_drawn(node):
            looks = zlib.crc32(node.toSvg().encode())
        else:
            left, top, width, height = self.rect
            rows = max(1, pixels.STRIP // width)
            for row in range(0, height, rows):
                strip = node.projectionPixelData(left, top + row, width, min(rows, height - row))
                looks = zlib.crc32(strip, looks)
                yield
        if looks != self.looks:
            raise self.refuse("moved")

    def add(self, result: bytearray) -> Iterator[None]:
        yield from self.check_same()
        node, name = self.place(), text("name", self.language, layer=self.layer_name)
        active = self.document.activeNode()
        back = active.uniqueId() if active else self.node_id
        if not self.plain:
            front = yield from self.bring_to_front()
            layer = yield from self.clip()
            if layer is None:  # unclipped, the result would be opaque where the object is soft
                if front is not None:
                    front.setVisible()
                if self.is_active(self.node_id):
                    yield from self.activate(back)
                raise self.refuse("not added")
            layer.setName(name)
            layer.parentNode().setName(self.layer_name)
            layer.setPixelData(result, *self.rect)
            yield from self.until(self.is_still)  # else the next call would wait for all that is being drawn
            self.document.refreshProjection()
        else:
            layer = self.document.createNode(name, "paintlayer")
            layer.setInheritAlpha(node.inheritAlpha())
            layer.setPixelData(result, *self.rect)
            node.parentNode().addChildNode(layer, node)
        # Krita makes the new layer the active one a moment later, and on a busy machine once more after that.
        added = layer.uniqueId()
        yield from self.until(lambda: self.is_active(added))
        yield from self.activate(back)
        settled = time.monotonic() + SETTLING
        while time.monotonic() < settled:
            yield
            if is_open(self.document) and self.is_active(added):
                yield from self.activate(back)
        if not self.plain and front is not None:
            front.setVisible()

    def bring_to_front(self) -> Generator[None, None, Any]:
        """Show the document, as Krita's actions work on what is in front; returns the view that was there."""
        window, view = view_of(self.document)
        if view is None or Krita.instance().activeDocument() == self.document:
            return None
        before = window.activeView()
        window.activate()
        view.setVisible()  # Window.showView does nothing in Krita 5.1
        yield from self.until(lambda: Krita.instance().activeDocument() == self.document)
        return before

    def clip(self) -> Generator[None, None, Any]:
        """A quick clipping group around the layer; its empty layer, or None where Krita makes none."""
        _, view = view_of(self.document)
        if view is None:
            return None
        yield from self.activate(self.node_id, alone=view)
        yield from self.until(self.is_still)
        outer = self.place().parentNode().uniqueId()
        if Krita.instance().activeDocument() != self.document or not self.is_active(self.node_id):
            return None
        action = Krita.instance().action("create_quick_clipping_group")
        if not action.isEnabled():
            return None
        action.trigger()
        yield from self.until(lambda: self.clipped(outer) is not None or self.is_gone(), LATE)
        return self.clipped(outer)

    def clipped(self, outer: Any) -> Any:
        """The layer that inherits its alpha from ours in a group that was not there before."""
        node = find(self.document, self.node_id)
        group = node.parentNode() if node else None
        if group is None or group.uniqueId() == outer:
            return None
        return next((child for child in children(group) if child.inheritAlpha()), None)

    def activate(self, node_id: Any, alone: Any = None) -> Iterator[None]:
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

    def is_active(self, node_id: Any) -> bool:
        active = self.document.activeNode()
        return active is not None and active.uniqueId() == node_id

    def is_gone(self) -> bool:
        return find(self.document, self.node_id) is None

    def is_still(self) -> bool:
        """Whether Krita draws nothing in this document at the moment."""
        still = bool(self.document.tryBarrierLock())
        if still:
            self.document.unlock()
        return still

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> Iterator[None]:
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            yield

    def check_open(self) -> None:
        """Raises `ClientError` when the document is gone; looks at most a few times a second."""
        if time.monotonic() < self._looked + LOOK and not KritaHost.writing:
            return
        self._looked = time.monotonic()
        if not is_open(self.document):
            raise self.refuse("closed")

    def release(self) -> None:
        """Let go of Krita's memory."""
        if self.clone is not None:
            self.clone.waitForDone()
            self.clone.close()
            self.clone = None
