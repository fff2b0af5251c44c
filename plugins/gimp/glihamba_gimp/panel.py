"""The dialog's pictures: the object before and after, and the corrections to choose from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gi.repository import GdkPixbuf, GLib, Gtk

from glihamba_client.texts import proposal
from glihamba_client.window import extent

from .capture import Small
from .texts import text

LARGE, THUMB = 190, 110  # pixels of the longer side
MARGIN = 0.7  # of the object's size, shown on each of its sides


class Panel:
    """`widget` holds everything. `changed` is called when the person moves the divider or takes a variant."""

    def __init__(self, small: Small, language: str, changed: Callable[[], None]) -> None:
        self._small, self._language, self._changed = small, language, changed
        self._before = bytes(small.shown.data)
        self._crop = crop(small)
        self.chosen = 0
        self._after = Gtk.Image()
        self.divider = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, 0.0, 1.0, 0.01)
        self.divider.set_draw_value(False)
        self.divider.connect("value-changed", lambda *_: changed())
        self.on_canvas = Gtk.CheckButton.new_with_mnemonic(text("on canvas", language))
        self.on_canvas.set_active(True)
        self.on_canvas.connect("toggled", lambda *_: changed())
        self._variants = Gtk.Box(spacing=6)
        self.widget = self._lay_out()
        self.draw(self._before)

    def _lay_out(self) -> Gtk.Box:
        before = Gtk.Image.new_from_pixbuf(self._pixbuf(self._before, LARGE))
        grid = Gtk.Grid(row_spacing=6, column_spacing=6, margin=0)
        for column, (name, widget) in enumerate((("before", before), ("after", self._after))):
            grid.attach(Gtk.Label(label=text(name, self._language), xalign=0), column, 0, 1, 1)
            grid.attach(widget, column, 1, 1, 1)
        row = Gtk.Box(spacing=6)
        row.pack_start(Gtk.Label(label=text("divider", self._language), xalign=0), False, False, 0)
        row.pack_start(self.divider, True, True, 0)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        for part in (grid, row, self.on_canvas, self._variants):
            box.pack_start(part, False, False, 0)
        return box

    def at_divider(self) -> float:
        """Where the divider stands in the window around the object, 0 to 1; left of it is before."""
        left, _, width, _ = self._crop
        share = float(self.divider.get_value())
        return (left + share * width) / self._small.shown.width if share > 0 else 0.0

    def draw(self, after: bytes) -> None:
        """Show the picture, RGB as `small.shown`, right of the divider."""
        stride, split = 3 * self._small.shown.width, 3 * round(self.at_divider() * self._small.shown.width)
        rows = [
            self._before[start : start + split] + after[start + split : start + stride]
            for start in range(0, len(after), stride)
        ]
        self._after.set_from_pixbuf(self._pixbuf(b"".join(rows), LARGE))

    def forget_variants(self) -> None:
        self.chosen = 0
        for one in self._variants.get_children():
            one.destroy()

    def add_variant(self, variant: Any, picture: bytes, several: bool) -> None:
        """A button with a picture. `several`: of several layers, only the first variant can be had."""
        number = len(self._variants.get_children())
        first = self._variants.get_children()[0] if number else None
        button = Gtk.RadioButton.new_from_widget(first)
        button.set_mode(False)  # pressed instead of a dot
        words = proposal(variant.kind, number + 1, self._language)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=2)
        box.pack_start(Gtk.Image.new_from_pixbuf(self._pixbuf(picture, THUMB)), False, False, 0)
        box.pack_start(Gtk.Label(label=words, xalign=0.5, wrap=True, max_width_chars=14), False, False, 0)
        button.add(box)
        button.set_sensitive(number == 0 or not several)
        button.connect("toggled", self._take, number)
        self._variants.pack_start(button, True, True, 0)
        button.show_all()

    def _take(self, button: Gtk.RadioButton, number: int) -> None:
        if button.get_active():
            self.chosen = number
            self._changed()

    def _pixbuf(self, pixels: bytes, side: int) -> GdkPixbuf.Pixbuf:
        """The part around the object, as large as `side` allows."""
        width, height = self._small.shown.width, self._small.shown.height
        whole = GdkPixbuf.Pixbuf.new_from_bytes(
            GLib.Bytes.new(pixels), GdkPixbuf.Colorspace.RGB, False, 8, width, height, 3 * width
        )
        part = whole.new_subpixbuf(*self._crop)
        scale = side / max(self._crop[2:])
        width, height = (max(1, round(length * scale)) for length in self._crop[2:])
        return part.scale_simple(width, height, GdkPixbuf.InterpType.BILINEAR)


def crop(small: Small) -> tuple[int, int, int, int]:
    """The part of the small picture with the object and some of the scene: left, top, width, height."""
    size = small.shown.width, small.shown.height
    found = extent(small.shown_mask.data, size) or (0, 0, *size)
    margin = round(MARGIN * max(found[2:])) + 1
    left, top = max(0, found[0] - margin), max(0, found[1] - margin)
    right, bottom = (min(size[axis], found[axis] + found[axis + 2] + margin) for axis in range(2))
    return left, top, right - left, bottom - top
