"""GIMP's layer tree: finding, hiding, copies that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gi.repository import Gimp


@contextmanager
def duplicate(image: Gimp.Image) -> Iterator[tuple[Gimp.Image, Gimp.Channel | None]]:
    """A copy of the image for as long as the block lasts, and what is selected, if anything is.

    The copy shares the pixels until they are written to. Nothing is selected in it any more: merging layers
    and filters would keep to that.
    """
    copy = image.duplicate()
    try:
        copy.undo_disable()
        chosen = None if Gimp.Selection.is_empty(copy) else Gimp.Selection.save(copy)
        Gimp.Selection.none(copy)
        yield copy, chosen
    finally:
        copy.delete()


def chain(item: Gimp.Item) -> list[Gimp.Item]:
    """The item, its group, that one's group, ..."""
    found = []
    while item is not None:
        found.append(item)
        item = item.get_parent()
    return found


def siblings(item: Gimp.Item) -> list[Gimp.Item]:
    """All layers of the item's group, or of the image, from the highest down."""
    parent = item.get_parent()
    return list(parent.get_children() if parent is not None else item.get_image().get_layers())


def twin(copy: Gimp.Image, layer: Gimp.Layer) -> Gimp.Layer:
    """The layer that stands in `copy`, a duplicate, where `layer` stands in its own image."""
    image, level = layer.get_image(), list(copy.get_layers())
    *groups, last = [image.get_item_position(item) for item in reversed(chain(layer))]
    for position in groups:
        level = level[position].get_children()
    return level[last]


def hidden(layer: Gimp.Layer) -> bool:
    """Whether the layer or a group around it is hidden."""
    return not all(item.get_visible() for item in chain(layer))


def hide_above(layer: Gimp.Layer) -> None:
    """Hide every layer above the layer and above each group around it."""
    for item in chain(layer):
        for above in siblings(item)[: item.get_image().get_item_position(item)]:
            above.set_lock_visibility(False)
            above.set_visible(False)


def plain(layer: Gimp.Layer) -> Gimp.Layer:
    """Make a layer of any kind, in a copy, one of pixels; its opacity, mode and mask stay what they are.

    Groups are merged, text and links drawn, filters applied.
    """
    for item in chain(layer):
        item.set_lock_content(False)
    if layer.is_group():
        if layer.get_mode() == Gimp.LayerMode.PASS_THROUGH:
            layer.set_mode(Gimp.LayerMode.NORMAL)  # else merging takes along what lies below
        return layer.merge()
    if hasattr(layer, "rasterize"):  # GIMP 3.2's text, link and vector layers
        layer.rasterize()
    elif layer.is_text_layer():  # in 3.0 it stops being one when it is drawn on, even if that changes nothing
        layer.merge_filter(Gimp.DrawableFilter.new(layer, "gegl:opacity", ""))
    if layer.get_filters():
        layer.merge_filters()
    return layer
