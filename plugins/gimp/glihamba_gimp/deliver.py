"""Adds results to their image, as one undo step.

A result and the layer that it changes get a group of their own, see `groups`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gi.repository import Gimp

from glihamba_client.texts import result_name

from . import groups, layers, pixels
from .chosen import ChosenLayer
from .texts import text

if TYPE_CHECKING:
    from .capture import Seen


NUMBERED = r"(?<=\)) #\d+$"  # what GIMP adds to the name of a second group


class Done(NamedTuple):
    """One layer's result, not yet in the image."""

    chosen: ChosenLayer
    seen: Seen
    result: bytes
    """Pixels of `seen.rect` in `seen.form`."""
    strength: float
    """The result's opacity, 0 to 1."""


def deliver(image: Gimp.Image, done: Sequence[Done]) -> list[Gimp.Layer]:
    """Add all results in one undo step; the new groups are selected.

    Raises `ClientError` when a result no longer fits, before anything is changed, or GIMP does not take it.
    """
    for one in done:
        one.chosen.check_same(one.seen.place)
    with layers.one_undo_step(image):
        added = [add(one.chosen.layer, one) for one in done]
        for one in done:
            layers.show(one.chosen.layer)
        image.set_selected_layers(added)
    Gimp.displays_flush()
    return added


def add(layer: Gimp.Layer, done: Done) -> Gimp.Layer:
    """Add the result above `layer`, of the image or of a copy; returns their group."""
    chosen, seen, image = done.chosen, done.seen, layer.get_image()
    left, top, width, height = seen.rect
    everywhere = (0, 0, width, height)
    is_gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
    kind = Gimp.ImageType.GRAY_IMAGE if is_gray else Gimp.ImageType.RGB_IMAGE
    name = text("result", chosen.language)
    result = Gimp.Layer.new(image, name, width, height, kind, 100 * done.strength, Gimp.LayerMode.NORMAL)
    pixels.write(result, everywhere, seen.form.format, done.result)
    result.set_offsets(left, top)
    groups.mark(result)
    group = groups.group_for(layer, result_name(re.sub(NUMBERED, "", chosen.name), chosen.language))
    if not image.insert_layer(result, group, image.get_item_position(layer)):
        raise chosen.refuse("not added", reason=Gimp.get_pdb().get_last_error())
    groups.clip(result)
    if seen.selected:
        mask = result.create_mask(Gimp.AddMaskType.WHITE)
        result.add_mask(mask)
        pixels.write(mask, everywhere, "Y u8", seen.selected)
        result.set_edit_mask(False)
    return group
