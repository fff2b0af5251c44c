"""Reads a layer, what it covers and the picture below it, in steps so that Krita stays responsive."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from krita import Document, Node, Selection

from glihamba_client.host import Capture, Pixels, Steps
from glihamba_client.window import Rect, window

from . import pixels
from .chosen import ChosenLayer
from .edges import Edge, edge_of
from .labels import LABELS, WORDS
from .nodes import (
    PIXEL_LAYERS,
    above,
    find,
    hide_above,
    hide_unlabelled,
    is_drawn,
    is_hidden,
    keyframes,
    own,
    show,
)
from .pixels import Form, Space, size_of, space_of
from .texts import text
from .workspace import Style, Workspace


@dataclass(frozen=True)
class Seen:
    """What the delivery needs to know of the layer as it was read."""

    size: tuple[int, int]
    """Width and height of the document."""
    space: Space
    """The document's colour space."""
    rect: Rect
    """The part of the layer that was read, which may reach beyond the canvas."""
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
    selection: Selection | None
    """What is selected of the layer; None where all of it is changed."""
    is_hidden: bool
    """Whether the person did not see the layer."""
    style: Style | None
    """What else a layer with a style needs."""
    edge: Edge | None
    """The rim that is to be cleaned up."""
    time: int
    """The frame of the document's animation that was read."""
    frames: tuple[int, ...]
    """The layer's keyframes; none if it is not animated."""


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
        foreground, style = None, None
        if self.is_plain:
            shown = yield from self.workspace.alpha(self.composite, size, self.space)
            cover = pixels.where(bytes(pixels.cropped(shown, self.window, self.rect)), mask)
        else:
            cover = pixels.where(self.chosen or b"\xff" * len(alpha), alpha)
            own = yield from self.workspace.converted(self.raw, size_of(self.rect), self.own, form.space)
            foreground = pixels.plane(own, self.rect, form)
            if self.asl:
                style = Style(self.asl, alpha, self.opacity, self.selection)
        visible = bytes(pixels.cropped(mask, self.rect, self.seen))
        capture = Capture(composite, pixels.mask_plane(visible, self.seen, self.window), foreground)
        return capture, Seen(
            self.size,
            self.space,
            self.rect,
            self.window,
            form,
            cover,
            self.looks,
            self.is_plain,
            self.selection,
            self.is_hidden,
            style,
            self.edge(alpha),
            self.time,
            self.frames,
        )

    def checked(self) -> Node:
        """The layer, if it can be harmonized."""
        node = self.layer.node()
        if node.type() not in PIXEL_LAYERS:
            raise self.layer.refuse("not a layer", kind=node.type())
        for group in above(node):
            if group.locked():
                raise self.layer.refuse("locked group", group=group.name())
        return node

    def take(self, node: Node) -> None:
        """Read the layer, its selection and the picture, and copy the document."""
        document = self.document
        self.size = document.width(), document.height()
        self.space, self.own = space_of(document), space_of(node)
        self.is_plain = node.blendingMode() != "normal" or node.inheritAlpha()
        self.asl, self.opacity = node.layerStyleToAsl(), node.opacity()
        self.time, self.frames = document.currentTime(), keyframes(document, node)
        self.selection = self.selection_of(node)
        self.rect, self.seen = self.bounds(node)
        self.window = window(self.seen, self.size)
        twin = find(self.workspace.open(document), self.layer.node_id)
        assert twin is not None
        self.twin = twin
        self.is_hidden = is_hidden(node)
        self.is_redrawn = self.is_hidden
        if self.is_hidden:
            show(twin)
        if node.type() == "grouplayer" and node.passThroughMode():
            twin.setPassThroughMode(False)  # otherwise it has no projection of its own
            self.is_redrawn = True
        self.must_render = hide_above(twin) or self.is_redrawn
        if self.layer.scene != LABELS[0]:
            self.must_render = True
            if not hide_unlabelled(twin, self.layer.scene):
                label = text(WORDS[self.layer.scene], self.layer.language)
                raise self.layer.refuse("no label", label=label)
        self.chosen = bytes(self.selection.pixelData(*self.rect)) if self.selection is not None else b""
        self.raw: Pixels = node.projectionPixelData(*self.rect)
        self.looks = zlib.crc32(node.toSvg().encode() if is_drawn(node) else self.raw)
        self.composite: Pixels = b"" if self.must_render else picture(document, self.window)

    def render(self) -> Steps[None]:
        """Have Krita draw the copy, where the document shows something else than is to be read."""
        if not self.must_render:
            return
        copy = self.workspace.copy
        copy.refreshProjection()
        copy.waitForDone()
        yield None
        self.composite = picture(copy, self.window)
        if self.is_redrawn:
            self.raw = self.twin.projectionPixelData(*self.rect)
        yield None

    def selection_of(self, node: Node) -> Selection | None:
        """A copy of what is selected of the layer: by its own selection mask, else in the document."""
        masks = [child for child in own(node.childNodes()) if child.type() == "selectionmask"]
        chosen = masks[-1].selection() if masks else self.document.selection()
        if chosen is None or chosen.width() <= 0 or chosen.height() <= 0:
            return None
        return chosen.duplicate()

    def bounds(self, node: Node) -> tuple[Rect, Rect]:
        """The part of the layer that is to be changed, and of that the part on the canvas."""
        canvas = (0, 0, *self.size)
        whole = extent_of(node, self.size)
        if whole is not None and self.is_plain:
            whole = overlap(whole, canvas)
        seen = overlap(whole, canvas)
        if whole is None or seen is None:
            raise self.layer.refuse("empty")
        if self.selection is None:
            return whole, seen
        x, y = self.selection.x(), self.selection.y()
        whole = overlap(whole, (x, y, self.selection.width(), self.selection.height()))
        seen = overlap(whole, canvas)
        if whole is None or seen is None:
            raise self.layer.refuse("selected nothing")
        return whole, seen

    def edge(self, alpha: bytes) -> Edge | None:
        """The layer's rim, where it can be cleaned up: a selection has an edge of its own."""
        if not self.layer.edge or self.selection is not None or self.is_plain or self.asl:
            return None
        return edge_of(alpha, self.rect, self.layer.edge)

    def coverage(self, alpha: bytes) -> bytes:
        """Where the object is, one byte a pixel: the lesser of the layer's alpha and the selection."""
        if not any(pixels.cropped(alpha, self.rect, self.seen)):
            raise self.layer.refuse("empty" if self.selection is None else "selected nothing")
        if self.selection is None:
            return alpha
        shape, both = Selection(), self.selection.duplicate()
        shape.setPixelData(alpha, *self.rect)
        both.intersect(shape)
        covered = bytes(both.pixelData(*self.rect))
        if not any(pixels.cropped(covered, self.rect, self.seen)):
            raise self.layer.refuse("selected nothing")
        return covered


def picture(document: Document, rect: Rect) -> Pixels:
    """The document as it looks, also while one layer of it is shown alone, which Document.pixelData obeys."""
    root = document.rootNode()
    assert root is not None
    return root.projectionPixelData(*rect)


def extent_of(node: Node, size: tuple[int, int]) -> Rect | None:
    """Where a layer of a document of (width, height) may show anything; None where it is empty."""
    if any(is_drawing(child) for child in own(node.childNodes())):
        return 0, 0, *size  # a mask may move pixels, and Krita draws masks on the canvas only
    box = node.bounds()
    return (box.x(), box.y(), box.width(), box.height()) if box.width() > 0 and box.height() > 0 else None


def is_drawing(child: Node) -> bool:
    """Whether this child of a layer changes how the layer looks."""
    return child.type().endswith("mask") and child.type() != "selectionmask"


def overlap(one: Rect | None, other: Rect) -> Rect | None:
    """Where two rectangles overlap; None where they don't."""
    if one is None:
        return None
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
