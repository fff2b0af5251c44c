"""The group of a layer and its result.

The result lies above the layer, clipped to it. It is opaque, so that the layer's own alpha and mask decide
what is seen. Its opacity is the strength.
"""

from __future__ import annotations

from typing import NamedTuple

from gi.repository import Gimp

from . import layers, pixels

MARK = "glihamba-result"
PERSISTENT = 1  # the mark is kept in files


def mark(item: Gimp.Item) -> None:
    """Let the layer or mask be recognized as a result, also in a file that is opened later."""
    item.attach_parasite(Gimp.Parasite.new(MARK, PERSISTENT, b"1"))


def is_result(item: Gimp.Item) -> bool:
    return item.get_parasite(MARK) is not None


def results(layer: Gimp.Layer) -> list[Gimp.Layer]:
    """The results that lie with the layer in a group of its own; none if it shares the group with others."""
    if layer.get_parent() is None or is_result(layer):
        return []
    others = [one for one in layers.siblings(layer) if one.get_id() != layer.get_id()]
    return others if all(map(is_result, others)) else []


def object_of(layer: Gimp.Layer) -> Gimp.Layer:
    """The layer that a person means who has chosen a result, or the group of a layer and its result."""
    within = list(layer.get_children()) if layer.is_group() else []
    if is_result(layer):
        within = layers.siblings(layer)
    objects = [one for one in within if not is_result(one)]
    return objects[0] if len(objects) == 1 and results(objects[0]) else layer


def forget(layer: Gimp.Layer) -> Gimp.Layer | None:
    """Remove the layer's results, and the mask that came with them; returns their group, if there is one."""
    old, group = results(layer), layer.get_parent()
    if not old or group is None:
        return None
    for result in old:
        layer.get_image().remove_layer(result)
    mask = group.get_mask()
    if mask is not None and is_result(mask):
        group.remove_mask(Gimp.MaskApplyMode.DISCARD)
    return group


def group_for(layer: Gimp.Layer, name: str) -> Gimp.Layer:
    """The group of the layer and its results; a new one where it has none. Old results are removed.

    A new group takes over how the layer blends with what is below it, since in the group there is nothing.
    """
    image, there = layer.get_image(), forget(layer)
    if there is not None:
        return there
    group = Gimp.GroupLayer.new(image, name)
    image.insert_layer(group, layer.get_parent(), image.get_item_position(layer))
    locked = [(item, item.get_lock_position()) for item in layers.chain(layer)]
    for item, _ in locked:
        item.set_lock_position(False)
    image.reorder_item(layer, group, 0)
    for item, lock in locked:
        item.set_lock_position(lock)
    group.set_opacity(layer.get_opacity())
    layer.set_opacity(100)
    if layer.get_mode() != Gimp.LayerMode.PASS_THROUGH:
        set_blending(group, blending(layer))
        set_blending(layer, NORMAL)
    return group


class Blending(NamedTuple):
    """How a layer is mixed with what is below it, apart from its opacity."""

    mode: Gimp.LayerMode = Gimp.LayerMode.NORMAL
    blend_space: Gimp.LayerColorSpace = Gimp.LayerColorSpace.AUTO
    composite_space: Gimp.LayerColorSpace = Gimp.LayerColorSpace.AUTO
    composite_mode: Gimp.LayerCompositeMode = Gimp.LayerCompositeMode.AUTO


NORMAL = Blending()


def blending(layer: Gimp.Layer) -> Blending:
    return Blending(
        layer.get_mode(), layer.get_blend_space(), layer.get_composite_space(), layer.get_composite_mode()
    )


def set_blending(layer: Gimp.Layer, wanted: Blending) -> None:
    if blending(layer) == wanted:
        return
    layer.set_mode(wanted.mode)  # first: it resets the others
    layer.set_blend_space(wanted.blend_space)
    layer.set_composite_space(wanted.composite_space)
    layer.set_composite_mode(wanted.composite_mode)


def clip(result: Gimp.Layer) -> None:
    """Let the layer be seen only where the one below it is.

    Its opacity mixes colours as the image encodes them: converting them would round what is not covered, too.
    """
    result.set_composite_mode(Gimp.LayerCompositeMode.CLIP_TO_BACKDROP)
    curve = pixels.curve(result)
    space = {"": Gimp.LayerColorSpace.RGB_LINEAR, "~": Gimp.LayerColorSpace.RGB_PERCEPTUAL}
    result.set_composite_space(space.get(curve, Gimp.LayerColorSpace.RGB_NON_LINEAR))
