"""Adds results to their image, as one undo step.

A result is either pixels, see `groups`, or a filter, see `filters`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gi.repository import Gimp

from glihamba_client.texts import result_name

from . import edges, filters, groups, layers, pixels
from .chosen import ChosenLayer, Place
from .fit import Fit
from .seen import Seen
from .texts import text

NUMBERED = r"(?<=\)) #\d+$"  # what GIMP adds to the name of a second group


class Result(Protocol):
    def add(self, chosen: ChosenLayer, layer: Gimp.Layer) -> Gimp.Layer:
        """Add the result to `layer`, which is the chosen one or its twin in a copy of the image.

        Returns what is to be selected afterwards. Results of earlier runs are replaced.
        """


class Done(NamedTuple):
    """One layer's result, not yet in the image."""

    chosen: ChosenLayer
    place: Place
    result: Result


def deliver(image: Gimp.Image, done: Sequence[Done]) -> list[Gimp.Layer]:
    """Add all results in one undo step; what has been added is selected.

    Raises `ClientError` when a result no longer fits, before anything is changed, or GIMP does not take it.
    """
    for one in done:
        one.chosen.check_same(one.place)
    with layers.one_undo_step(image):
        added = [one.result.add(one.chosen, one.chosen.layer) for one in done]
        for one in done:
            layers.show(one.chosen.layer)
        image.set_selected_layers(added)
    Gimp.displays_flush()
    return added


class Corrected(NamedTuple):
    """The pixels of one correction."""

    data: bytes
    """Of `Seen.rect`, in `Seen.form`."""
    strength: float
    """The result's opacity, 0 to 1."""


class Pixels(NamedTuple):
    """Layers above the chosen one, in a group with it: the first one on top, the others hidden below it."""

    seen: Seen
    corrected: Sequence[Corrected]

    def add(self, chosen: ChosenLayer, layer: Gimp.Layer) -> Gimp.Layer:
        image = layer.get_image()
        made = [self._layer(image, one, text("result", chosen.language)) for one in self.corrected]
        filters.remove(layer)
        group = groups.group_for(layer, result_name(re.sub(NUMBERED, "", chosen.name), chosen.language))
        for result in reversed(made):
            if not image.insert_layer(result, group, 0):
                raise chosen.refuse("not added", reason=Gimp.get_pdb().get_last_error())
            if result is not made[0]:
                result.set_visible(False)
            if self.seen.selected:
                self._add_mask(result)
            groups.clip(result)
        if self.seen.edge is not None:
            edges.add_mask(group, self.seen.rect, self.seen.edge)
        return group

    def _add_mask(self, result: Gimp.Layer) -> None:
        mask = result.create_mask(Gimp.AddMaskType.WHITE)
        result.add_mask(mask)
        pixels.write(mask, (0, 0, *self.seen.rect[2:]), "Y u8", self.seen.selected)
        result.set_edit_mask(False)

    def _layer(self, image: Gimp.Image, corrected: Corrected, name: str) -> Gimp.Layer:
        left, top, width, height = self.seen.rect
        is_gray = image.get_base_type() == Gimp.ImageBaseType.GRAY
        kind = Gimp.ImageType.GRAY_IMAGE if is_gray else Gimp.ImageType.RGB_IMAGE
        opacity = 100 * corrected.strength
        made = Gimp.Layer.new(image, name, width, height, kind, opacity, Gimp.LayerMode.NORMAL)
        pixels.write(made, (0, 0, width, height), self.seen.form.format, corrected.data)
        made.set_offsets(left, top)
        groups.mark(made)
        return made


class Filter(NamedTuple):
    """A filter of the chosen layer's own."""

    fit: Fit
    strength: float
    """The filter's opacity, 0 to 1."""

    def add(self, chosen: ChosenLayer, layer: Gimp.Layer) -> Gimp.Layer:
        groups.forget(layer)
        filters.remove(layer)
        filters.append(layer, self.fit, self.strength)
        return layer
