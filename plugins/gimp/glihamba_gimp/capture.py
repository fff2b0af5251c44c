"""Reads a layer, what it covers and the picture below it. Changes copies of the image only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gi.repository import Gimp

from glihamba_client.host import Capture, Plane
from glihamba_client.window import Rect, window

from . import deliver, layers, pixels
from .chosen import ChosenLayer, Place
from .pixels import Form


class Seen(NamedTuple):
    """What the delivery needs to know of the layer as it was read."""

    place: Place
    form: Form
    """How pixels were sent."""
    rect: Rect
    """The rectangle of the image that comes back harmonized."""
    selected: bytes
    """The selection's coverage of `rect`, one byte a pixel; empty when nothing was selected."""


def read(chosen: ChosenLayer, earlier: Sequence[deliver.Done] = ()) -> tuple[Capture, Seen]:
    """The layer in the picture in which `earlier` results are.

    Raises `ClientError` when there is nothing to harmonize.
    """
    place = chosen.place()
    with layers.duplicate(chosen.image) as (copy, selection):
        layer = layers.plain(layers.twin(copy, chosen.layer))
        box = select(copy, selection, layer)
        if box is None:
            raise chosen.refuse("empty" if selection is None else "selected nothing")
        around = window(box, (copy.get_width(), copy.get_height()))
        coverage = pixels.read(copy.get_selection(), around, "Y u8")
        composite, form = picture(chosen, around, earlier)
        mask = Plane(*around[2:], "uint8", "gray", coverage, around[:2])
        rect = box if selection else whole(copy, layer, box)
        foreground = pixels.plane(layer, layers.inside(layer, rect), form, rect[:2])
        return Capture(composite, mask, foreground), Seen(place, form, rect, selected(copy, selection, rect))


def picture(chosen: ChosenLayer, around: Rect, earlier: Sequence[deliver.Done]) -> tuple[Plane, Form]:
    """The part `around` of the picture as seen, without what lies above the layer, and how it is sent."""
    left, top, width, height = around
    with layers.duplicate(chosen.image) as (copy, _):
        layer = layers.twin(copy, chosen.layer)
        before = [(layers.twin(copy, done.chosen.layer), done) for done in earlier]
        for other, done in before:
            deliver.add(other, done)
        layers.show(layer)
        layers.hide_above(layer)
        copy.resize(width, height, -left, -top)  # GIMP draws no more than the canvas; the layers stay whole
        seen = Gimp.Layer.new_from_visible(copy, copy, "seen")
        form = pixels.form_of(seen)
        return pixels.plane(seen, (0, 0, width, height), form, (left, top)), form


def select(copy: Gimp.Image, selection: Gimp.Channel | None, layer: Gimp.Layer) -> Rect | None:
    """Select in `copy` what is to change: the least of the layer's alpha, its mask and what was selected.

    Returns the rectangle around it, or None if that is nothing.
    """
    copy.select_item(Gimp.ChannelOps.REPLACE, layer)
    mask = layer.get_mask() if layer.get_apply_mask() else None
    for other in filter(None, (selection, mask)):
        copy.select_item(Gimp.ChannelOps.INTERSECT, other)  # takes the lesser of both
    _, is_any, left, top, right, bottom = Gimp.Selection.bounds(copy)
    return (left, top, right - left, bottom - top) if is_any else None


def whole(copy: Gimp.Image, layer: Gimp.Layer, box: Rect) -> Rect:
    """The rectangle around all that the layer shows, also off the canvas; `box` is around what is on it.

    Enlarges the canvas of the copy.
    """
    _, left, top = layer.get_offsets()
    right, bottom = left + layer.get_width(), top + layer.get_height()
    width, height = copy.get_width(), copy.get_height()
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return box
    x, y = max(0, -left), max(0, -top)
    copy.resize(max(width, right) + x, max(height, bottom) + y, x, y)
    found = select(copy, None, layer)
    copy.resize(width, height, -x, -y)
    return (found[0] - x, found[1] - y, *found[2:]) if found else box


def selected(copy: Gimp.Image, selection: Gimp.Channel | None, rect: Rect) -> bytes:
    """The selection's coverage of `rect`; empty when nothing is selected.

    The values of a channel may be encoded. Only the values of the image's selection are coverage.
    """
    if selection is None:
        return b""
    copy.select_item(Gimp.ChannelOps.REPLACE, selection)
    return pixels.read(copy.get_selection(), rect, "Y u8")
