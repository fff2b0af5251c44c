"""A copy of the document that nobody sees: Krita renders it and converts pixels in it."""

from __future__ import annotations

from krita import Document

from glihamba_client.host import Pixels, Steps

from . import pixels
from .pixels import Space


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

    def alpha(self, raw: Pixels, size: tuple[int, int], space: Space) -> Steps[bytes]:
        """The alpha of pixels of (width, height), one byte each."""
        if (space.model, space.depth) != ("RGBA", "U8"):
            raw = yield from self.converted(raw, size, space, pixels.SRGB_8)
        return pixels.alpha_of(raw)
