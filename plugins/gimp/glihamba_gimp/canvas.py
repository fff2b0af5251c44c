"""A preview on the person's own canvas: a filter on the layer while a dialog is open.

Nothing of it reaches the undo history, and `close` restores everything. What the person does to the image
meanwhile is kept and can be undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gi.repository import Gimp

from glihamba_client.window import Rect

from . import filters, groups, layers
from .fit import Fit


class CanvasPreview:
    """The preview of one layer. `around` is the window in which the divider moves."""

    def __init__(self, layer: Gimp.Layer, around: Rect) -> None:
        self.layer, self.image, self._around = layer, layer.get_image(), around
        self._filter: Gimp.DrawableFilter | None = None
        self._divider = 0.0
        self._hidden: list[Gimp.Layer] = []
        self._off: list[Gimp.DrawableFilter] = []
        self._opened = False

    def show(self, fit: Fit, strength: float, divider: float = 0.0) -> None:
        """Show the filter right of the divider, 0 (all of the window) to 1 (nothing of it)."""
        if not self._is_there():
            return
        with self._unrecorded():
            self._open()
            shown = self._filter if divider == self._divider else None
            if shown is not None and shown.is_valid() and filters.change(shown, fit, strength):
                return
            self._remove_filter()
            self._divider = divider
            left, top, width, height = self._around
            start = left + round(width * divider)
            if start < left + width or divider == 0:
                with self._selected((start, top, left + width - start, height) if divider > 0 else None):
                    self._filter = filters.append(self.layer, fit, strength)

    def close(self) -> None:
        """Take the preview away."""
        if not self._opened or not self._is_there():
            return
        with self._unrecorded():
            self._remove_filter()
            for result in self._hidden:
                if result.is_valid():
                    layers.set_visible(result, True)
            for one in self._off:
                if one.is_valid():
                    one.set_visible(True)
        self._opened, self._hidden, self._off = False, [], []

    def _open(self) -> None:
        """Put what an earlier run has added out of sight."""
        if self._opened:
            return
        self._opened = True
        self._hidden = [one for one in groups.results(self.layer) if one.get_visible()]
        for result in self._hidden:
            layers.set_visible(result, False)
        self._off = [one for one in filters.own(self.layer) if one.get_visible()]
        for one in self._off:
            one.set_visible(False)

    def _remove_filter(self) -> None:
        if self._filter is not None and self._filter.is_valid():
            self._filter.delete()
        self._filter = None

    def _is_there(self) -> bool:
        return self.layer.is_valid() and self.image.is_valid()

    @contextmanager
    def _unrecorded(self) -> Iterator[None]:
        """Changes that the undo history does not know, and that leave a saved image saved."""
        clean = not self.image.is_dirty()
        self.image.undo_freeze()
        try:
            yield
        finally:
            self.image.undo_thaw()
            if clean:
                self.image.clean_all()
            Gimp.displays_flush()

    @contextmanager
    def _selected(self, rect: Rect | None) -> Iterator[None]:
        """Select the part of what is selected that lies in `rect`, as long as the block lasts."""
        if rect is None:
            yield
            return
        chosen = self.image.get_selected_layers()
        saved = None if Gimp.Selection.is_empty(self.image) else Gimp.Selection.save(self.image)
        operation = Gimp.ChannelOps.REPLACE if saved is None else Gimp.ChannelOps.INTERSECT
        self.image.select_rectangle(operation, *rect)
        try:
            yield
        finally:
            if saved is None:
                Gimp.Selection.none(self.image)
            else:
                self.image.select_item(Gimp.ChannelOps.REPLACE, saved)
                self.image.remove_channel(saved)
            self.image.set_selected_layers(chosen)
