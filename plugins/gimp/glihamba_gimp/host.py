"""GIMP as a host of the use case: reads one layer of one image, adds one result above it.

The result is a layer like the one it replaces: same size, place, opacity, mode and mask, its pixels
harmonized where the object is selected and untouched elsewhere. The old one stays below it, hidden.
"""

from __future__ import annotations

from typing import Any

from gi.repository import Gimp

from glihamba_client import texts
from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane, Progress

from . import layers, pixels
from .pixels import Rect
from .texts import text


class GimpHost:
    """One act of harmonizing the one layer among `drawables`; raises `ClientError` when there is none.

    `added` is the new layer in the end, or `failure` says why there is none.
    """

    def __init__(self, image: Gimp.Image, drawables: list[Gimp.Drawable], language: str = "") -> None:
        self.image, self.language = image, language
        self.layer_name, self.said = "", ""
        self.added: Gimp.Layer | None = None
        self.failure = ""
        self.layer = self.only(drawables)
        self.layer_name = self.layer.get_name()
        self.check()

    def refuse(self, name: str, **fields: object) -> ClientError:
        """A failure in the plugin's own words."""
        return ClientError(f"GIMP_{name}", text(name, self.language, layer=self.layer_name, **fields))

    def only(self, drawables: list[Gimp.Drawable]) -> Gimp.Layer:
        """The one that is chosen, or the one whose mask is."""
        if len(drawables) != 1:
            raise self.refuse("one layer", count=len(drawables))
        (chosen,) = drawables
        return Gimp.Layer.from_mask(chosen) if chosen.is_layer_mask() else chosen

    def check(self) -> None:
        """Whether the layer can be harmonized: when the person begins, and when the dialog has closed."""
        layer = self.layer
        if not layer.is_valid():
            raise self.refuse("deleted")
        if not layer.is_layer():
            raise self.refuse("not a layer")
        if layer.is_floating_sel():
            raise self.refuse("floating")
        if self.image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            raise self.refuse("indexed")
        if layers.hidden(layer):
            raise self.refuse("hidden")

    # --- the protocol -----------------------------------------------------------------------------

    def capture(self) -> Capture:
        self.check()
        Gimp.progress_init(text("reading", self.language))
        self.size = self.image.get_width(), self.image.get_height()
        self.seen_there = self.there()
        with layers.duplicate(self.image) as (copy, chosen):
            return self.read(copy, chosen)

    def deliver(self, harmonized: Harmonized) -> None:
        self.show(text("writing", self.language), 1.0)
        if not self.layer.is_valid() or self.layer.get_image().get_id() != self.image.get_id():
            raise self.refuse("deleted")
        there = self.there()
        if there != self.seen_there:
            raise self.refuse("resized" if there[0] != self.seen_there[0] else "moved")
        with layers.duplicate(self.image) as (copy, _):
            layer = layers.plain(layers.twin(copy, self.layer))
            self.write(layer, bytes(harmonized.plane.data))
            new = Gimp.Layer.new_from_drawable(layer, self.image)
        self.add(new)
        self.added = new

    def progress(self, progress: Progress) -> None:
        self.show(texts.stage(progress, self.language), progress.fraction)

    def cancelled(self) -> bool:
        return False  # GIMP's Cancel ends this process, and with it the job

    def message(self, words: str, failed: bool = False) -> None:
        if failed:
            self.failure = words
        else:
            Gimp.message(words)

    def show(self, words: str, fraction: float) -> None:
        if words != self.said:
            self.said = words
            Gimp.progress_set_text(f"{self.layer_name}: {words}…")
        Gimp.progress_update(fraction)

    # --- reading ----------------------------------------------------------------------------------

    def there(self) -> tuple[Any, ...]:
        """What must be the same when the result comes: the image's size and colours, the layer's place."""
        image, layer = self.image, self.layer
        of_image = image.get_width(), image.get_height(), pixels.own_format(layer)
        return of_image, (layer.get_width(), layer.get_height(), *layer.get_offsets()[1:])

    def read(self, copy: Gimp.Image, chosen: Gimp.Channel | None) -> Capture:
        """The picture as seen up to the layer, the object's coverage, the part of the layer it is in."""
        twin = layers.twin(copy, self.layer)
        layers.hide_above(twin)
        seen = Gimp.Layer.new_from_visible(copy, copy, "seen")
        whole: Rect = (0, 0, *self.size)
        self.form = pixels.form_of(seen)
        composite = pixels.plane(seen, whole, self.form, (0, 0))
        seen.delete()
        layer = layers.plain(twin)
        self.select(copy, chosen, layer)
        selected = copy.get_selection()
        _, is_any, left, top, right, bottom = Gimp.Selection.bounds(copy)
        if not is_any:
            raise self.refuse("empty" if chosen is None else "selected nothing")
        self.rect: Rect = (left, top, right - left, bottom - top)
        mask = pixels.read(selected, whole, "Y u8")
        self.coverage = pixels.read(selected, self.rect, "Y u8")
        self.chosen = b""
        if chosen is not None:  # a channel's own values may be encoded: only the selection's are coverage
            copy.select_item(Gimp.ChannelOps.REPLACE, chosen)
            self.chosen = pixels.read(selected, self.rect, "Y u8")
        own = pixels.plane(layer, self.inside(layer), self.form, (left, top))
        return Capture(composite, Plane(*self.size, "uint8", "gray", mask), own)

    def select(self, copy: Gimp.Image, chosen: Gimp.Channel | None, layer: Gimp.Layer) -> None:
        """Select in `copy` what is to change: of the layer's alpha and its mask, as much as was chosen."""
        copy.select_item(Gimp.ChannelOps.REPLACE, layer)
        mask = layer.get_mask() if layer.get_apply_mask() else None
        for other in filter(None, (chosen, mask)):
            copy.select_item(Gimp.ChannelOps.INTERSECT, other)  # the lesser of both

    def inside(self, layer: Gimp.Layer) -> Rect:
        """The object's rectangle in the layer's own coordinates."""
        left, top, width, height = self.rect
        _, x, y = layer.get_offsets()
        return left - x, top - y, width, height

    # --- writing ----------------------------------------------------------------------------------

    def write(self, layer: Gimp.Layer, result: bytes) -> None:
        """Put the harmonized pixels into a copy of the layer: as far as they are selected, none elsewhere."""
        rect, name = self.inside(layer), pixels.own_format(layer)
        soft = pixels.is_soft(self.chosen)
        if self.form.exact and not soft:
            pixels.write(layer, rect, self.form.format, result)
            return
        before = pixels.read(layer, rect, name)
        if soft:
            after = pixels.blended(layer, before, result, self.form, self.chosen, rect[2:])
        else:
            pixels.write(layer, rect, self.form.format, result)
            after = pixels.read(layer, rect, name)
        pixels.write(layer, rect, name, pixels.where(self.coverage, after, before))

    def add(self, new: Gimp.Layer) -> None:
        """One undo step: the new layer above the old one, which is hidden; the new one is chosen."""
        image, old = self.image, self.layer
        new.set_name(text("name", self.language, layer=self.layer_name))
        image.undo_group_start()
        try:
            if not image.insert_layer(new, old.get_parent(), image.get_item_position(old)):
                raise self.refuse("not added", reason=Gimp.get_pdb().get_last_error())
            locked = old.get_lock_visibility()
            old.set_lock_visibility(False)
            old.set_visible(False)
            old.set_lock_visibility(locked)
            image.set_selected_layers([new])
        finally:
            image.undo_group_end()
        Gimp.displays_flush()
