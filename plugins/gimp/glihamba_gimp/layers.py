"""GIMP's layer tree, and copies of images that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gi.repository import Gimp

from glihamba_client.window import Rect


@contextmanager
def duplicate(image: Gimp.Image) -> Iterator[tuple[Gimp.Image, Gimp.Channel | None]]:
    """A copy of the image for as long as the block lasts, and its selection as a channel, if there is one.

    The copy shares the pixels until they are written to. Nothing is selected in it, since a selection would
    limit what merging layers and filters changes.
    """
    copy = image.duplicate()
    try:
        copy.undo_disable()
        chosen = None if Gimp.Selection.is_empty(copy) else Gimp.Selection.save(copy)
        Gimp.Selection.none(copy)
        yield copy, chosen
    finally:
        copy.delete()


@contextmanager
def one_undo_step(image: Gimp.Image) -> Iterator[None]:
    """What the block does to the image is undone together."""
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()


def chain(item: Gimp.Item) -> list[Gimp.Item]:
    """The item, the group around it, the group around that, and so on."""
    found: list[Gimp.Item] = []
    parent: Gimp.Item | None = item
    while parent is not None:
        found.append(parent)
        parent = parent.get_parent()
    return found


def siblings(item: Gimp.Item) -> list[Gimp.Layer]:
    """All layers of the item's group, or of the image, from the highest down."""
    parent = item.get_parent()
    return list(parent.get_children() if parent is not None else item.get_image().get_layers())


def place_in_tree(layer: Gimp.Layer) -> list[int]:
    """The positions of the groups around the layer, from the outermost, and its own; 0 is the highest."""
    return [layer.get_image().get_item_position(item) for item in reversed(chain(layer))]


def twin(copy: Gimp.Image, layer: Gimp.Layer) -> Gimp.Layer:
    """The layer of `copy`, a duplicate, at the place that `layer` has in its own image."""
    level = list(copy.get_layers())
    *groups, last = place_in_tree(layer)
    for position in groups:
        level = level[position].get_children()
    return level[last]


def set_visible(item: Gimp.Item, visible: bool) -> None:
    """Show or hide the item, locked or not."""
    if item.get_visible() == visible:
        return
    locked = item.get_lock_visibility()
    item.set_lock_visibility(False)
    item.set_visible(visible)
    item.set_lock_visibility(locked)


def show(layer: Gimp.Layer) -> None:
    """Show the layer and each group around it."""
    for item in chain(layer):
        set_visible(item, True)


def hide_above(layer: Gimp.Layer) -> None:
    """Hide every layer above the layer and above each group around it."""
    for item in chain(layer):
        for above in siblings(item)[: item.get_image().get_item_position(item)]:
            set_visible(above, False)


def labelled(found: Sequence[Gimp.Layer], label: Gimp.ColorTag) -> bool:
    """Whether a layer among these, or in groups among them, has the colour label."""
    return any(
        one.get_color_tag() == label or (one.is_group() and labelled(one.get_children(), label))
        for one in found
    )


def hide_unlabelled(layer: Gimp.Layer, label: Gimp.ColorTag) -> None:
    """Hide every layer but this one and those that have the colour label, or are in a group that has it."""
    kept = {item.get_id() for item in chain(layer)}
    todo = list(layer.get_image().get_layers())
    while todo:
        one = todo.pop()
        if one.get_color_tag() == label or one.get_id() == layer.get_id():
            continue
        if one.get_id() in kept or (one.is_group() and labelled(one.get_children(), label)):
            todo += one.get_children()
        else:
            set_visible(one, False)


def reaches_out(layer: Gimp.Layer) -> bool:
    """Whether a part of the layer lies off the canvas."""
    image = layer.get_image()
    _, left, top = layer.get_offsets()
    right, bottom = left + layer.get_width(), top + layer.get_height()
    return left < 0 or top < 0 or right > image.get_width() or bottom > image.get_height()


def inside(layer: Gimp.Layer, rect: Rect) -> Rect:
    """A rectangle of the image in the layer's own coordinates."""
    left, top, width, height = rect
    _, x, y = layer.get_offsets()
    return left - x, top - y, width, height


def plain(layer: Gimp.Layer) -> Gimp.Layer:
    """Turn a layer of any kind, in a copy, into one of pixels; its opacity, mode and mask stay.

    Groups are merged, text and links drawn, filters applied.
    """
    for item in chain(layer):
        item.set_lock_content(False)
    if layer.is_group():
        if layer.get_mode() == Gimp.LayerMode.PASS_THROUGH:
            layer.set_mode(Gimp.LayerMode.NORMAL)  # otherwise merging would include what lies below
        return layer.merge()
    if hasattr(layer, "rasterize"):  # GIMP 3.2's text, link and vector layers
        layer.rasterize()
    elif layer.is_text_layer():  # in 3.0 a filter, even one that changes nothing, makes it one of pixels
        layer.merge_filter(Gimp.DrawableFilter.new(layer, "gegl:opacity", ""))
    if layer.get_filters():
        layer.merge_filters()
    return layer
