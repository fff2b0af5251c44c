"""A copy of the document that nobody sees: Krita renders it and converts pixels in it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from krita import Document, Krita, Node, Selection

from glihamba_client.host import Pixels, Steps
from glihamba_client.window import Rect, extent

from . import curves, pixels
from .curves import Curves
from .nodes import children
from .pixels import Space, size_of


@dataclass(frozen=True)
class Style:
    """A layer's style (stroke, shadow...), which Krita draws around and over its pixels."""

    asl: str
    """The style in Photoshop's form, as Krita's API takes and gives it."""
    alpha: bytes
    """The layer's own alpha in the rectangle that was read, one byte a pixel."""
    opacity: int
    """The layer's opacity, of 255."""
    selection: Selection | None
    """What is selected of the layer."""


class Workspace:
    """Krita's memory for one job. `close` returns it."""

    def __init__(self) -> None:
        self._copy: Document | None = None

    @property
    def copy(self) -> Document:
        assert self._copy is not None
        return self._copy

    def open(self, document: Document) -> Document:
        """Copy the document."""
        self._copy = document.clone()
        self._copy.setBatchmode(True)
        if self._copy.currentTime() != document.currentTime():
            self._copy.setCurrentTime(document.currentTime())
        return self._copy

    def close(self) -> None:
        if self._copy is not None:
            self._copy.waitForDone()
            self._copy.close()
            self._copy = None

    def converted(self, raw: Pixels, size: tuple[int, int], source: Space, target: Space) -> Steps[Pixels]:
        """Pixels of (width, height) in another space."""
        if source == target:
            return raw
        return (yield from pixels.converted(self.copy, raw, size, source, target))

    def filter_layer(self, fitted: Curves, space: Space, is_everywhere: bool) -> Node:
        """A filter layer with these curves, which belongs to no document yet. Raises OSError."""
        with tempfile.TemporaryDirectory(prefix="glihamba-") as folder:
            path = Path(folder) / "curves.kra"
            curves.write(path, fitted, space, is_everywhere)
            document = Krita.instance().openDocument(str(path))
        if document is None:
            raise OSError("Krita did not read the curves")
        document.setBatchmode(True)
        document.waitForDone()
        root = document.rootNode()
        assert root is not None
        layer = children(root)[0].duplicate()
        document.close()
        return layer

    def alpha(self, raw: Pixels, size: tuple[int, int], space: Space) -> Steps[bytes]:
        """The alpha of pixels of (width, height), one byte each."""
        if (space.model, space.depth) != ("RGBA", "U8"):
            raw = yield from self.converted(raw, size, space, pixels.SRGB_8)
        return pixels.alpha_of(raw)

    def styled(self, raw: Pixels, rect: Rect, space: Space, style: Style) -> Steps[tuple[Rect, Pixels]]:
        """What a layer of these pixels shows with a style, and where, in the document's space.

        Its alpha says where the layer with its style covers anything, as far as it is selected.
        """
        root = self.copy.rootNode()
        assert root is not None
        for layer in children(root):
            layer.setVisible(False)
        layer = self.copy.createNode("styled", "paintlayer")
        layer.setPixelData(raw, *rect)
        layer.setOpacity(style.opacity)
        layer.setLayerStyleFromAsl(style.asl)
        root.addChildNode(layer, None)
        self.copy.refreshProjection()
        self.copy.waitForDone()
        yield None
        whole = 0, 0, self.copy.width(), self.copy.height()
        shown = root.projectionPixelData(*whole)
        alpha = yield from self.alpha(shown, size_of(whole), space)
        around = extent(alpha, size_of(whole)) or rect
        drawn = pixels.cropped(shown, whole, around)
        alpha = bytes(pixels.cropped(alpha, whole, around))
        selected = style.selection
        cover = bytes(selected.pixelData(*around)) if selected is not None else b"\xff" * len(alpha)
        form = pixels.form_of(self.copy, space)
        sent = bytearray((yield from self.converted(drawn, size_of(around), space, form.space)))
        pixels.set_alpha(sent, form.space.depth, pixels.where(cover, alpha))
        return around, (yield from self.converted(sent, size_of(around), form.space, space))
