"""Reads a layer, what it covers and the picture below it. Changes a copy of the image only."""

from __future__ import annotations

from typing import NamedTuple

from gi.repository import Gimp

from glihamba_client.host import Capture, Plane

from . import layers, pixels
from .chosen import ChosenLayer, Place
from .pixels import Form, Rect


class Seen(NamedTuple):
    """What the delivery needs to know of the layer as it was read."""

    place: Place
    form: Form
    """How pixels were sent."""
    rect: Rect
    """The object's rectangle in the image."""
    coverage: bytes
    """The object's coverage of `rect`, one byte a pixel."""
    selected: bytes
    """The selection's coverage of `rect`, one byte a pixel; empty when nothing was selected."""


def read(chosen: ChosenLayer) -> tuple[Capture, Seen]:
    """Raises `ClientError` when there is nothing to harmonize."""
    place = chosen.place()
    with layers.duplicate(chosen.image) as (copy, selection):
        twin = layers.twin(copy, chosen.layer)
        layers.hide_above(twin)
        picture = Gimp.Layer.new_from_visible(copy, copy, "seen")
        whole: Rect = (0, 0, copy.get_width(), copy.get_height())
        form = pixels.form_of(picture)
        composite = pixels.plane(picture, whole, form, (0, 0))
        picture.delete()
        layer = layers.plain(twin)
        select(copy, selection, layer)
        _, is_any, left, top, right, bottom = Gimp.Selection.bounds(copy)
        if not is_any:
            raise chosen.refuse("empty" if selection is None else "selected nothing")
        rect: Rect = (left, top, right - left, bottom - top)
        mask = pixels.read(copy.get_selection(), whole, "Y u8")
        coverage = pixels.read(copy.get_selection(), rect, "Y u8")
        foreground = pixels.plane(layer, layers.inside(layer, rect), form, (left, top))
        capture = Capture(composite, Plane(*whole[2:], "uint8", "gray", mask), foreground)
        return capture, Seen(place, form, rect, coverage, selected(copy, selection, rect))


def select(copy: Gimp.Image, selection: Gimp.Channel | None, layer: Gimp.Layer) -> None:
    """Select in `copy` what is to change: the least of the layer's alpha, its mask and what was selected."""
    copy.select_item(Gimp.ChannelOps.REPLACE, layer)
    mask = layer.get_mask() if layer.get_apply_mask() else None
    for other in filter(None, (selection, mask)):
        copy.select_item(Gimp.ChannelOps.INTERSECT, other)  # takes the lesser of both


def selected(copy: Gimp.Image, selection: Gimp.Channel | None, rect: Rect) -> bytes:
    """The selection's coverage of `rect`; empty when nothing is selected.

    The values of a channel may be encoded. Only the values of the image's selection are coverage.
    """
    if selection is None:
        return b""
    copy.select_item(Gimp.ChannelOps.REPLACE, selection)
    return pixels.read(copy.get_selection(), rect, "Y u8")
