"""GIMP's pixels as the use case's planes, and back. Knows formats, not layers.

sRGB, encoded or linear, is sent in the image's own depth, or the next higher one that the contract has.
Everything else (gray and other profiles) is sent as linear floats with sRGB's primaries, unclipped. babl
converts both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gi.repository import Babl, Gegl, Gimp

from glihamba_client.host import Plane
from glihamba_client.window import Rect
from glihamba_proto.formats import Channels, SampleType, Transfer


class Form(NamedTuple):
    """How pixels are sent."""

    format: str
    """babl's name of the format. Without a space's name in it, colours have sRGB's primaries."""
    sample_type: SampleType
    transfer: Transfer


def form_of(drawable: Gimp.Drawable) -> Form:
    """How this drawable's pixels are sent."""
    own = drawable.get_format()
    model, depth = Babl.format_get_encoding(own).rsplit(" ", 1)
    if not model.startswith("R") or Babl.get_name(Babl.format_get_space(own)) != "sRGB":
        return Form("RGBA float", "float32", "linear")
    encoded = model[1] in "'~"
    colours: tuple[str, Transfer] = ("R'G'B'A", "srgb") if encoded else ("RGBA", "linear")
    if depth == "u8" and encoded:
        return Form(f"{colours[0]} u8", "uint8", colours[1])
    if depth in ("u8", "u16"):
        return Form(f"{colours[0]} u16", "uint16", colours[1])
    return Form(f"{colours[0]} float", "float32", colours[1])


def curve(drawable: Gimp.Drawable) -> str:
    """How pixels encode light: empty for linear, "'" by the curve of the profile, "~" by that of sRGB."""
    model = Babl.format_get_encoding(drawable.get_format())
    return next((mark for mark in "'~" if mark in model), "")


def own_format(drawable: Gimp.Drawable) -> str:
    """babl's name of the format of the drawable's pixels, colour space included."""
    return str(Babl.get_name(drawable.get_format()))


def read(drawable: Gimp.Drawable, rect: Rect, name: str) -> bytes:
    """Pixels in the format of that name; 0 outside the drawable. `rect` is in its own coordinates."""
    buffer = drawable.get_buffer()
    return bytes(buffer.get(Gegl.Rectangle.new(*rect), 1.0, name, Gegl.AbyssPolicy.NONE))


def scaled(drawable: Gimp.Drawable, size: Sequence[int], scale: float, channels: Channels) -> Plane:
    """The first `size` pixels as a plane of 8 bits a sample, sRGB, its width and height times `scale`."""
    width, height = (max(1, round(side * scale)) for side in size)
    name = {"gray": "Y u8", "rgb": "R'G'B' u8", "rgba": "R'G'B'A u8"}[channels]
    buffer = drawable.get_buffer()
    raw = bytes(buffer.get(Gegl.Rectangle.new(0, 0, width, height), scale, name, Gegl.AbyssPolicy.CLAMP))
    return Plane(width, height, "uint8", channels, raw)


def write(drawable: Gimp.Drawable, rect: Rect, name: str, raw: bytes) -> None:
    """Put pixels of the format of that name at `rect`, in the drawable's own coordinates."""
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(*rect), name, bytes(raw))
    buffer.flush()
    drawable.update(*rect)


def plane(drawable: Gimp.Drawable, rect: Rect, form: Form, offset: tuple[int, int]) -> Plane:
    """The pixels of `rect` as a plane; `offset` is its top left corner in the image."""
    raw = read(drawable, rect, form.format)
    return Plane(rect[2], rect[3], form.sample_type, "rgba", raw, offset, form.transfer)
