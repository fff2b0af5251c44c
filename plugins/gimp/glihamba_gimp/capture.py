"""Reads a layer, what it covers and the picture below it. Changes copies of the image only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gi.repository import Gimp

from glihamba_client.host import Capture, Plane
from glihamba_client.preview import MOST_PIXELS
from glihamba_client.window import Rect, window
from glihamba_proto.windows import SMALL_SIDE

from . import deliver, edges, filters, groups, layers, pixels
from .chosen import ChosenLayer, Place
from .seen import Seen


class Small(NamedTuple):
    """The window around the object, scaled down. Masks hold the coverage."""

    place: Place
    around: Rect
    """The window, in the image."""
    composite: Plane
    """RGBA, to predict from."""
    mask: Plane
    shown: Plane
    """RGB, smaller: a preview draws it quickly."""
    shown_mask: Plane


class Opened(NamedTuple):
    """A copy of the image in which what is to change is selected."""

    copy: Gimp.Image
    selection: Gimp.Channel | None
    """What the person has selected."""
    layer: Gimp.Layer
    """The chosen layer as plain pixels."""
    box: Rect
    """Around what is to change."""
    around: Rect
    """The window around that."""


def read(chosen: ChosenLayer, earlier: Sequence[deliver.Done] = ()) -> tuple[Capture, Seen]:
    """The layer in the picture in which `earlier` results are.

    Raises `ClientError` when there is nothing to harmonize.
    """
    place = chosen.place()
    with opened(chosen) as (copy, selection, layer, box, around):
        coverage = pixels.read(copy.get_selection(), around, "Y u8")
        mask = Plane(*around[2:], "uint8", "gray", coverage, around[:2])
        with picture(chosen, around, earlier, chosen.scene()) as seen:
            form = pixels.form_of(seen)
            composite = pixels.plane(seen, (0, 0, *around[2:]), form, around[:2])
        is_all = not layers.reaches_out(layer) if selection is None else not chosen.edge
        rect = box if is_all else whole(copy, layer)
        foreground = pixels.plane(layer, layers.inside(layer, rect), form, rect[:2])
        coverage = selected(copy, selection, rect)
        edge = edges.read(copy, layer, rect, chosen.edge) if chosen.edge else None
        return Capture(composite, mask, foreground), Seen(place, form, rect, coverage, edge)


def small(chosen: ChosenLayer, earlier: Sequence[deliver.Done] = ()) -> Small:
    """The same window in a size for people and networks; raises `ClientError` as `read` does."""
    place = chosen.place()
    with opened(chosen) as (copy, _, _, _, around):
        left, top, *size = around
        copy.resize(size[0], size[1], -left, -top)
        scale = min(1.0, SMALL_SIDE / max(size))
        mask = pixels.scaled(copy.get_selection(), size, scale, "gray")
        with picture(chosen, around, earlier, chosen.scene()) as seen:
            composite = pixels.scaled(seen, size, scale, "rgba")
        with picture(chosen, around, earlier) as seen:
            covered = len(mask.data) - bytes(mask.data).count(0)
            scale *= min(1.0, (MOST_PIXELS / max(1, covered)) ** 0.5)
            shown = pixels.scaled(seen, size, scale, "rgb")
            return Small(
                place,
                around,
                composite,
                mask,
                shown,
                pixels.scaled(copy.get_selection(), size, scale, "gray"),
            )


@contextmanager
def opened(chosen: ChosenLayer) -> Iterator[Opened]:
    """Raises `ClientError` when there is nothing to harmonize."""
    with layers.duplicate(chosen.image) as (copy, selection):
        twin = layers.twin(copy, chosen.layer)
        filters.remove(twin)
        layer = layers.plain(twin)
        box = select(copy, selection, layer)
        if box is None:
            raise chosen.refuse("empty" if selection is None else "selected nothing")
        yield Opened(copy, selection, layer, box, window(box, (copy.get_width(), copy.get_height())))


@contextmanager
def picture(
    chosen: ChosenLayer,
    around: Rect,
    earlier: Sequence[deliver.Done],
    label: Gimp.ColorTag | None = None,
) -> Iterator[Gimp.Layer]:
    """The part `around` of the picture as seen, without what lies above the layer, as a layer of a copy.

    label: of the scene's layers; None: all that is seen below the layer is the scene.
    """
    left, top, width, height = around
    with layers.duplicate(chosen.image) as (copy, _):
        layer = layers.twin(copy, chosen.layer)
        before = [(layers.twin(copy, done.chosen.layer), done) for done in earlier]
        for other, done in before:
            done.result.add(done.chosen, other)
        filters.remove(layer)
        groups.forget(layer)
        layers.show(layer)
        layers.hide_above(layer)
        if label is not None:
            layers.hide_unlabelled(layer, label)
        copy.resize(width, height, -left, -top)  # GIMP draws no more than the canvas; the layers stay whole
        yield Gimp.Layer.new_from_visible(copy, copy, "seen")


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


def whole(copy: Gimp.Image, layer: Gimp.Layer) -> Rect:
    """The rectangle around all that the layer shows, also off the canvas, which is enlarged for that."""
    _, left, top = layer.get_offsets()
    right, bottom = left + layer.get_width(), top + layer.get_height()
    width, height = copy.get_width(), copy.get_height()
    x, y = max(0, -left), max(0, -top)
    copy.resize(max(width, right) + x, max(height, bottom) + y, x, y)
    found = select(copy, None, layer)
    copy.resize(width, height, -x, -y)
    assert found is not None  # a part of it lies on the canvas
    return found[0] - x, found[1] - y, found[2], found[3]


def selected(copy: Gimp.Image, selection: Gimp.Channel | None, rect: Rect) -> bytes:
    """The selection's coverage of `rect`; empty when nothing is selected.

    The values of a channel may be encoded. Only the values of the image's selection are coverage.
    """
    if selection is None:
        return b""
    copy.select_item(Gimp.ChannelOps.REPLACE, selection)
    return pixels.read(copy.get_selection(), rect, "Y u8")
