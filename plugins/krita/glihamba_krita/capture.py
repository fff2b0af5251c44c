"""Reads a layer, what it covers and the picture below it, in steps so that Krita stays responsive."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from krita import Node, Selection

from glihamba_client.host import Capture, Pixels, Steps
from glihamba_client.window import Rect, window

from . import pixels
from .chosen import ChosenLayer
from .nodes import PIXEL_LAYERS, find, hidden, hide_above, is_drawn
from .pixels import Form, Space, size_of, space_of
from .workspace import Workspace


@dataclass(frozen=True)
class Seen:
    """What the delivery needs to know of the layer as it was read."""

    size: tuple[int, int]
    """Width and height of the document."""
    space: Space
    """The document's colour space."""
    rect: Rect
    """The part of the document that was read of the layer."""
    window: Rect
    """The part of the document that was read of the picture: the network sees nothing beyond it."""
    form: Form
    """How its pixels were sent."""
    cover: bytes
    """The result's alpha in `rect`, one byte a pixel."""
    looks: int
    """Checksum of what the layer showed in `rect`."""
    is_plain: bool
    """Whether the result is the composite on a layer of its own, not the layer's pixels clipped to it."""


class Reading:
    """One act of reading. All that the person may change meanwhile is taken in the first step."""

    def __init__(self, layer: ChosenLayer, workspace: Workspace) -> None:
        self.layer, self.workspace, self.document = layer, workspace, layer.document

    def read(self) -> Steps[tuple[Capture, Seen]]:
        """Raises `ClientError` when there is nothing to harmonize."""
        self.document.waitForDone()
        self.take(self.checked())
        yield None
        yield from self.render()
        alpha = yield from self.workspace.alpha(self.raw, size_of(self.rect), self.own)
        mask = self.coverage(alpha)
        form = pixels.form_of(self.workspace.copy, self.space)
        yield None
        size = size_of(self.window)
        sent = yield from self.workspace.converted(self.composite, size, self.space, form.space)
        composite = pixels.plane(sent, self.window, form)
        foreground = None
        if self.is_plain:
            shown = yield from self.workspace.alpha(self.composite, size, self.space)
            cover = pixels.where(bytes(pixels.cropped(shown, self.window, self.rect)), mask)
        else:
            cover = pixels.where(self.chosen or b"\xff" * len(alpha), alpha)
            own = yield from self.workspace.converted(self.raw, size_of(self.rect), self.own, form.space)
            foreground = pixels.plane(own, self.rect, form)
        capture = Capture(composite, pixels.mask_plane(mask, self.rect, self.window), foreground)
        seen = Seen(self.size, self.space, self.rect, self.window, form, cover, self.looks, self.is_plain)
        return capture, seen

    def checked(self) -> Node:
        """The layer, if it can be harmonized."""
        node = self.layer.node()
        if node.type() not in PIXEL_LAYERS:
            raise self.layer.refuse("not a layer", kind=node.type())
        if hidden(node):
            raise self.layer.refuse("hidden")
        if node.animated():
            raise self.layer.refuse("animated")
        return node

    def take(self, node: Node) -> None:
        """Read the layer, its selection and the picture, and copy the document."""
        document = self.document
        self.size = document.width(), document.height()
        self.space, self.own = space_of(document), space_of(node)
        self.is_plain = node.blendingMode() != "normal" or node.inheritAlpha()
        self.selection, self.rect = self.bounds(node)
        self.window = window(self.rect, self.size)
        twin = find(self.workspace.open(document), self.layer.node_id)
        assert twin is not None
        self.twin = twin
        self.is_passed_through = node.type() == "grouplayer" and node.passThroughMode()
        if self.is_passed_through:
            twin.setPassThroughMode(False)  # otherwise it has no projection of its own
        self.must_render = hide_above(twin) or self.is_passed_through
        self.chosen = self.selected()
        self.raw: Pixels = node.projectionPixelData(*self.rect)
        self.looks = zlib.crc32(node.toSvg().encode() if is_drawn(node) else self.raw)
        self.composite: Pixels = b"" if self.must_render else document.pixelData(*self.window)

    def render(self) -> Steps[None]:
        """Have Krita draw the copy, where the document shows something else than is to be read."""
        if not self.must_render:
            return
        copy = self.workspace.copy
        copy.refreshProjection()
        copy.waitForDone()
        yield None
        self.composite = copy.pixelData(*self.window)
        if self.is_passed_through:
            self.raw = self.twin.projectionPixelData(*self.rect)
        yield None

    def bounds(self, node: Node) -> tuple[Selection | None, Rect]:
        """The selection, if there is one, and the part of the layer in it and on the canvas."""
        width, height = self.size
        left, top, right, bottom = 0, 0, width, height
        box = node.bounds()
        if not any(child.type().endswith("mask") for child in node.childNodes()):  # a mask may move pixels
            left, top = max(left, box.x()), max(top, box.y())
            right, bottom = min(right, box.x() + box.width()), min(bottom, box.y() + box.height())
        if right <= left or bottom <= top:
            raise self.layer.refuse("empty")
        chosen = self.document.selection()
        if chosen is None or chosen.width() <= 0 or chosen.height() <= 0:
            return None, (left, top, right - left, bottom - top)
        left, top = max(left, chosen.x()), max(top, chosen.y())
        right = min(right, chosen.x() + chosen.width())
        bottom = min(bottom, chosen.y() + chosen.height())
        if right <= left or bottom <= top:
            raise self.layer.refuse("selected nothing")
        return chosen, (left, top, right - left, bottom - top)

    def selected(self) -> bytes:
        """The selection's coverage of the layer's rectangle; empty when there is no selection."""
        if self.selection is None:
            return b""
        self.selection = self.selection.duplicate()
        return bytes(self.selection.pixelData(*self.rect))

    def coverage(self, alpha: bytes) -> bytes:
        """Where the object is, one byte a pixel: the lesser of the layer's alpha and the selection."""
        if alpha.count(0) == len(alpha):
            raise self.layer.refuse("empty" if self.selection is None else "selected nothing")
        if self.selection is None:
            return alpha
        shape = Selection()
        shape.setPixelData(alpha, *self.rect)
        self.selection.intersect(shape)
        both = bytes(self.selection.pixelData(*self.rect))
        if both.count(0) == len(both):
            raise self.layer.refuse("selected nothing")
        return both
