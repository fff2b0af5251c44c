"""Edge clean-up: the rim of a cut-out, where its old background still shows, is taken away or recoloured.

The object is shrunk by a mask of the group that it shares with its result, which can be painted or deleted.
Near its edge, the result gets the colours that lie further inside. GIMP computes both, in copies that nobody
sees.
"""

from __future__ import annotations

from typing import NamedTuple

from gi.repository import Gimp

from glihamba_client.window import Rect

from . import groups, layers, pixels
from .pixels import Form

DOUBLINGS = 6  # of a layer over itself: what is covered by 4 % becomes covered by 90 %


class Edge(NamedTuple):
    """One byte of coverage for each pixel of the rectangle that comes back."""

    width: int
    """Of the rim, in pixels."""
    shrunk: bytes
    """The object without its rim."""
    core: bytes
    """What surely has the object's own colours."""


def read(copy: Gimp.Image, layer: Gimp.Layer, rect: Rect, width: int) -> Edge:
    """Read the edge of the layer in `copy`. Changes the canvas and the selection of the copy."""
    left, top, *size = rect
    margin = width + 1  # a selection does not shrink from the canvas's border
    copy.resize(size[0] + 2 * margin, size[1] + 2 * margin, margin - left, margin - top)
    inner = margin, margin, size[0], size[1]
    found = []
    for is_core in (False, True):
        copy.select_item(Gimp.ChannelOps.REPLACE, layer)
        mask = layer.get_mask() if layer.get_apply_mask() else None
        if mask is not None:
            copy.select_item(Gimp.ChannelOps.INTERSECT, mask)
        if is_core:
            Gimp.Selection.sharpen(copy)
        Gimp.Selection.shrink(copy, width + is_core)
        found.append(pixels.read(copy.get_selection(), inner, "Y u8"))
    return Edge(width, *found)


def add_mask(group: Gimp.Layer, rect: Rect, edge: Edge) -> None:
    """Shrink what the group shows. A mask that the person has given it is replaced."""
    if group.get_mask() is not None:
        group.remove_mask(Gimp.MaskApplyMode.DISCARD)
    mask = group.create_mask(Gimp.AddMaskType.BLACK)
    group.add_mask(mask)
    groups.mark(mask)
    pixels.write(mask, layers.inside(group, rect), "Y u8", edge.shrunk)
    group.set_edit_mask(False)


def recoloured(image: Gimp.Image, size: tuple[int, int], data: bytes, form: Form, edge: Edge) -> bytes:
    """The pixels with the core's colours spread over the rim; `data` and the result are in `form`."""
    whole = (0, 0, *size)
    with layers.duplicate(image) as (copy, _):
        if copy.get_precision() != Gimp.Precision.FLOAT_NON_LINEAR:
            copy.convert_precision(Gimp.Precision.FLOAT_NON_LINEAR)
        below = added(copy, size, False)
        pixels.write(below, whole, form.format, data)
        core = added(copy, size, True)
        pixels.write(core, whole, form.format, data)
        mask = core.create_mask(Gimp.AddMaskType.WHITE)
        core.add_mask(mask)
        pixels.write(mask, whole, "Y u8", edge.core)
        core.remove_mask(Gimp.MaskApplyMode.APPLY)
        spread = core.copy()
        copy.insert_layer(spread, None, 1)
        blur = Gimp.DrawableFilter.new(spread, "gegl:gaussian-blur", "")
        for name in ("std-dev-x", "std-dev-y"):
            blur.get_config().set_property(name, edge.width + 1.0)
        blur.get_config().set_property("clip-extent", True)
        spread.merge_filter(blur)
        for _ in range(DOUBLINGS):
            again = spread.copy()
            copy.insert_layer(again, None, 1)
            spread = copy.merge_down(again, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER)
        spread = copy.merge_down(core, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER)
        below = copy.merge_down(spread, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER)
        return pixels.read(below, whole, form.format)


def added(image: Gimp.Image, size: tuple[int, int], alpha: bool) -> Gimp.Layer:
    """A new layer on top of the image."""
    kinds = {
        (False, False): Gimp.ImageType.RGB_IMAGE,
        (False, True): Gimp.ImageType.RGBA_IMAGE,
        (True, False): Gimp.ImageType.GRAY_IMAGE,
        (True, True): Gimp.ImageType.GRAYA_IMAGE,
    }
    kind = kinds[image.get_base_type() == Gimp.ImageBaseType.GRAY, alpha]
    made = Gimp.Layer.new(image, "edge", size[0], size[1], kind, 100, Gimp.LayerMode.NORMAL)
    image.insert_layer(made, None, 0)
    return made
