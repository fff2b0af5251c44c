"""The layer that the person chose, refused in the plugin's own words where it cannot be harmonized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from gi.repository import Gimp

from glihamba_client.errors import ClientError

from . import groups, layers, pixels
from .texts import refusal, text


class Place(NamedTuple):
    """What must be the same when the result comes."""

    image: tuple[int, int, str]
    """Width and height of the image, and babl's name for its pixels."""
    layer: tuple[int, int, int, int]
    """Width, height, left and top of the layer."""


def objects(image: Gimp.Image, drawables: Sequence[Gimp.Drawable], language: str = "") -> list[ChosenLayer]:
    """The layers that the person means, from the lowest up, each once, none inside another one.

    Raises `ClientError` when there is none, or when one cannot be harmonized.
    """
    if not drawables:
        raise refusal("no layer")
    found = {one.layer.get_id(): one for one in (ChosenLayer(image, each, language) for each in drawables)}
    outermost = [
        one
        for one in found.values()
        if not any(around.get_id() in found for around in layers.chain(one.layer)[1:])
    ]
    return sorted(outermost, key=lambda one: layers.place_in_tree(one.layer), reverse=True)


class ChosenLayer:
    """The layer that the person means by `drawable`; raises `ClientError` when it cannot be harmonized."""

    def __init__(self, image: Gimp.Image, drawable: Gimp.Drawable, language: str = "") -> None:
        self.image, self.language, self.name = image, language, drawable.get_name()
        self.label, self.edge = "", 0
        layer = Gimp.Layer.from_mask(drawable) if drawable.is_layer_mask() else drawable
        self.layer = cast(Gimp.Layer, layer)  # `check` refuses anything else
        self.check()
        self.layer = groups.object_of(self.layer)
        self.name = self.layer.get_name()

    def refuse(self, name: str, **fields: object) -> ClientError:
        """A failure in the plugin's own words."""
        return refusal(name, layer=self.name, **fields)

    def check(self) -> None:
        """Called when the person begins, and again when the dialog has closed; raises `ClientError`."""
        layer = self.layer
        if not layer.is_valid():
            raise self.refuse("deleted")
        if not layer.is_layer():
            raise self.refuse("not a layer")
        if layer.is_floating_sel():
            raise self.refuse("floating")
        if self.image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            raise self.refuse("indexed")

    def scene(self) -> Gimp.ColorTag | None:
        """The label of the scene's layers, if the person has named one.

        Raises `ClientError` if no layer has it.
        """
        if not self.label:
            return None
        tag: Gimp.ColorTag = getattr(Gimp.ColorTag, self.label.upper())
        around = {item.get_id() for item in layers.chain(self.layer)}
        below = [
            one
            for item in layers.chain(self.layer)
            for one in layers.siblings(item)[self.image.get_item_position(item) :]
            if one.get_id() not in around and one.get_visible()
        ]
        if not layers.labelled(below, tag):
            raise self.refuse("no label", label=text(f"label {self.label}", self.language))
        return tag

    def place(self) -> Place:
        """Where the layer is now."""
        image, layer = self.image, self.layer
        _, left, top = layer.get_offsets()
        return Place(
            (image.get_width(), image.get_height(), pixels.own_format(layer)),
            (layer.get_width(), layer.get_height(), left, top),
        )

    def check_same(self, before: Place) -> None:
        """Raises `ClientError` when the layer is no longer where it was."""
        if not self.layer.is_valid() or self.layer.get_image().get_id() != self.image.get_id():
            raise self.refuse("deleted")
        now = self.place()
        if now.image != before.image:
            raise self.refuse("resized")
        if now.layer != before.layer:
            raise self.refuse("moved")
