"""An animated layer: one correction, found in the frame that is shown, for every frame of the playback range.

The frames are read and written in the hidden copy of the document, so the person's time stays where it is.
The result is a copy of the layer with the same keyframes; those outside the range keep their colours.
"""

from __future__ import annotations

from dataclasses import replace

from krita import Document

from glihamba_client.host import Capture, Plane, Steps
from glihamba_client.window import Rect

from . import curves, pixels
from .capture import Seen, extent_of, overlap
from .chosen import ChosenLayer
from .nodes import find, moves, own
from .pixels import size_of, space_of
from .workspace import Workspace


def has_frames(layer: ChosenLayer, is_editable: bool) -> bool:
    """Whether the frames of this layer are to be corrected one by one.

    A filter layer corrects all of them by itself. Raises `ClientError` when nothing can.
    """
    document, node = layer.document, layer.node()
    if not moves(document, node):
        return False
    is_simple = node.blendingMode() == "normal" and not node.inheritAlpha() and not node.layerStyleToAsl()
    if is_editable and is_simple and curves.can_be_fitted(space_of(document)):
        return False
    if node.type() != "paintlayer":
        raise layer.refuse("animated inside")
    if not is_simple:
        raise layer.refuse("animated")
    return True


class Frames:
    """The keyframes of a layer that has been read, in the copy of its document."""

    def __init__(self, layer: ChosenLayer, seen: Seen, workspace: Workspace, like: Capture) -> None:
        """like: what was captured of the frame that is shown."""
        self.seen, self.workspace, self.copy, self.like = seen, workspace, workspace.copy, like
        twin = find(self.copy, layer.node_id)
        assert twin is not None
        self.twin = twin
        self.times = played(layer.document, seen.frames)
        self.result = twin.duplicate()
        for mask in own(self.result.childNodes()):
            mask.remove()  # what it does is in the pixels that are read
        self.result.setOpacity(255)
        self.result.setLocked(False)
        self._whole: Rect | None = None
        self._cover = b""

    def read(self, time: int) -> Steps[Capture | None]:
        """The frame as it is captured; None where it shows nothing that is to be changed."""
        self.copy.setCurrentTime(time)
        self.copy.refreshProjection()
        self.copy.waitForDone()
        yield None
        selection, size = self.seen.selection, self.seen.size
        self._whole = extent_of(self.twin, size)
        rect = self._whole
        if rect is not None and selection is not None:
            rect = overlap(rect, (selection.x(), selection.y(), selection.width(), selection.height()))
        if rect is None:
            return None
        raw, space = self.twin.projectionPixelData(*rect), space_of(self.twin)
        alpha = yield from self.workspace.alpha(raw, size_of(rect), space)
        chosen = bytes(selection.pixelData(*rect)) if selection is not None else b"\xff" * len(alpha)
        self._cover = pixels.where(chosen, alpha)
        own_pixels = yield from self.workspace.converted(raw, size_of(rect), space, self.seen.form.space)
        mask = self.like.mask
        around = (*mask.offset, mask.width, mask.height)
        seen = overlap(rect, around)
        if seen is not None:
            here = bytes(pixels.cropped(self._cover, rect, seen))
            own_mask = pixels.mask_plane(here, seen, around)
            mask = replace(mask, data=pixels.either(bytes(mask.data), bytes(own_mask.data)))
        return replace(self.like, mask=mask, foreground=pixels.plane(own_pixels, rect, self.seen.form))

    def write(self, done: Plane) -> Steps[None]:
        """Put the corrected pixels into the frame that was read last."""
        rect = (*done.offset, done.width, done.height)
        result = bytearray(done.data)
        pixels.set_alpha(result, self.seen.form.space.depth, self._cover)
        yield None
        space = space_of(self.result)
        raw = yield from self.workspace.converted(result, size_of(rect), self.seen.form.space, space)
        if self._whole is not None and self._whole != rect:
            pixel = len(raw) // (rect[2] * rect[3])
            self.result.setPixelData(bytes(pixel * self._whole[2] * self._whole[3]), *self._whole)
        self.result.setPixelData(raw, *rect)


def played(document: Document, frames: tuple[int, ...]) -> tuple[int, ...]:
    """The keyframes that are shown in the document's playback range."""
    first, last = document.playBackStartTime(), document.playBackEndTime()
    before = [time for time in frames if time <= first]
    return tuple(time for time in frames if max(before, default=first) <= time <= last)
