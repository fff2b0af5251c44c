"""Reads a layer, what it covers and the picture below it. Changes a copy of the image only."""

from __future__ import annotations

from typing import NamedTuple

from gi.repository import Gimp

from glihamba_client.host import Capture, Plane
from glihamba_client.window import Rect, window

from . import layers, pixels
from .chosen import ChosenLayer, Place
from .pixels import Form


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
        layer = layers.plain(layers.twin(copy, chosen.layer))
        select(copy, selection, layer)
        _, is_any, left, top, right, bottom = Gimp.Selection.bounds(copy)
        if not is_any:
            raise chosen.refuse("empty" if selection is None else "selected nothing")
        rect: Rect = (left, top, right - left, bottom - top)
        around = window(rect, (copy.get_width(), copy.get_height()))
        composite, form = picture(chosen, around)
        mask = Plane(
            *around[2:], "uint8", "gray", pixels.read(copy.get_selection(), around, "Y u8"), around[:2]
        )
        coverage = pixels.read(copy.get_selection(), rect, "Y u8")
        foreground = pixels.plane(layer, layers.inside(layer, rect), form, (left, top))
        capture = Capture(composite, mask, foreground)
        return capture, Seen(place, form, rect, coverage, selected(copy, selection, rect))


def picture(chosen: ChosenLayer, around: Rect) -> tuple[Plane, Form]:
    """The part `around` of the picture as seen, without what lies above the layer, and how it is sent."""
    left, top, width, height = around
    with layers.duplicate(chosen.image) as (copy, _):
        layers.hide_above(layers.twin(copy, chosen.layer))
        copy.resize(width, height, -left, -top)  # GIMP draws no more than the canvas; the layers stay whole
        seen = Gimp.Layer.new_from_visible(copy, copy, "seen")
        form = pixels.form_of(seen)
        return pixels.plane(seen, (0, 0, width, height), form, (left, top)), form


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
