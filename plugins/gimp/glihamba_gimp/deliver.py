"""Adds a result to its image, as one undo step.

The result is a layer like the one it replaces: same size, place, opacity, mode and mask. Its pixels are
harmonized where the object is selected and untouched elsewhere. The old layer stays below it, hidden.
"""

from __future__ import annotations

from gi.repository import Gimp

from . import layers, pixels
from .capture import Seen
from .chosen import ChosenLayer
from .texts import text


def replace(chosen: ChosenLayer, seen: Seen, result: bytes) -> Gimp.Layer:
    """The new layer; raises `ClientError` when the result no longer fits or GIMP does not take it."""
    chosen.check_same(seen.place)
    with layers.duplicate(chosen.image) as (copy, _):
        layer = layers.plain(layers.twin(copy, chosen.layer))
        write(layer, seen, result)
        new = Gimp.Layer.new_from_drawable(layer, chosen.image)
    add(chosen, new)
    return new


def write(layer: Gimp.Layer, seen: Seen, result: bytes) -> None:
    """Put the harmonized pixels into a copy of the layer: as far as they are selected, none elsewhere."""
    rect, name = layers.inside(layer, seen.rect), pixels.own_format(layer)
    is_soft = pixels.is_soft(seen.selected)
    if seen.form.exact and not is_soft:
        pixels.write(layer, rect, seen.form.format, result)
        return
    before = pixels.read(layer, rect, name)
    if is_soft:
        after = pixels.blended(layer, before, result, seen.form, seen.selected, rect[2:])
    else:
        pixels.write(layer, rect, seen.form.format, result)
        after = pixels.read(layer, rect, name)
    pixels.write(layer, rect, name, pixels.where(seen.coverage, after, before))


def add(chosen: ChosenLayer, new: Gimp.Layer) -> None:
    """One undo step: the new layer above the old one, which is hidden; the new one is selected."""
    image, old = chosen.image, chosen.layer
    new.set_name(text("name", chosen.language, layer=chosen.name))
    image.undo_group_start()
    try:
        if not image.insert_layer(new, old.get_parent(), image.get_item_position(old)):
            raise chosen.refuse("not added", reason=Gimp.get_pdb().get_last_error())
        locked = old.get_lock_visibility()
        old.set_lock_visibility(False)
        old.set_visible(False)
        old.set_lock_visibility(locked)
        image.set_selected_layers([new])
    finally:
        image.undo_group_end()
    Gimp.displays_flush()
