"""GIMP's pixels as the use case's planes, and back. Knows formats, not layers.

sRGB, encoded or linear, is sent in the image's own depth, or the next higher one that the contract has.
Everything else (gray and other profiles) is sent as linear floats with sRGB's primaries, unclipped. babl
converts both ways.
"""

from __future__ import annotations

from typing import NamedTuple

from gi.repository import Babl, Gegl, Gimp

from glihamba_client.host import Plane
from glihamba_client.window import Rect
from glihamba_proto.formats import SampleType, Transfer

STRIP = 1_000_000  # pixels compared at a time, which bounds the memory
_ANY = bytes([0]) + bytes([255]) * 255


class Form(NamedTuple):
    """How pixels are sent."""

    format: str
    """babl's name of the format. Without a space's name in it, colours have sRGB's primaries."""
    sample_type: SampleType
    transfer: Transfer
    exact: bool
    """Whether converting there and back changes nothing."""


def form_of(drawable: Gimp.Drawable) -> Form:
    """How this drawable's pixels are sent."""
    own = drawable.get_format()
    model, depth = Babl.format_get_encoding(own).rsplit(" ", 1)
    if not model.startswith("R") or Babl.get_name(Babl.format_get_space(own)) != "sRGB":
        return Form("RGBA float", "float32", "linear", False)
    encoded = model[1] in "'~"
    colours: tuple[str, Transfer] = ("R'G'B'A", "srgb") if encoded else ("RGBA", "linear")
    if depth == "u8" and encoded:
        return Form(f"{colours[0]} u8", "uint8", colours[1], True)
    if depth in ("u8", "u16"):
        return Form(f"{colours[0]} u16", "uint16", colours[1], True)
    # babl converts floats of a curve that is sRGB's by another name through linear light, which rounds.
    return Form(f"{colours[0]} float", "float32", colours[1], depth in ("half", "float") and model[1] != "~")


def own_format(drawable: Gimp.Drawable) -> str:
    """babl's name of the format of the drawable's pixels, colour space included."""
    return str(Babl.get_name(drawable.get_format()))


def read(drawable: Gimp.Drawable, rect: Rect, name: str) -> bytes:
    """Pixels in the format of that name; 0 outside the drawable. `rect` is in its own coordinates."""
    buffer = drawable.get_buffer()
    return bytes(buffer.get(Gegl.Rectangle.new(*rect), 1.0, name, Gegl.AbyssPolicy.NONE))


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


def is_soft(coverage: bytes) -> bool:
    """Whether any pixel is covered in part."""
    return bool(coverage.translate(None, b"\0\xff"))


def where(coverage: bytes, inside: bytes, outside: bytes) -> bytes:
    """The pixels `inside` where `coverage` is not 0, else those `outside`; both of the same format."""
    size = len(inside) // len(coverage)
    result = bytearray()
    for begin in range(0, len(coverage), STRIP):
        covered = coverage[begin : begin + STRIP].translate(_ANY)
        wide = bytearray(size * len(covered))
        for index in range(size):
            wide[index::size] = covered
        part = slice(size * begin, size * begin + len(wide))
        new, old, mask = (int.from_bytes(raw, "little") for raw in (inside[part], outside[part], wide))
        result += (old ^ (old ^ new) & mask).to_bytes(len(wide), "little")
    return bytes(result)


def blended(
    layer: Gimp.Layer, before: bytes, after: bytes, form: Form, coverage: bytes, size: tuple[int, int]
) -> bytes:
    """`before`, in the layer's own format, mixed with `after`, in `form`, by the coverage. The alpha stays.

    GIMP mixes encoded values, as the daemon does for files. It works in the layer's image, which is a copy
    that nobody sees.
    """
    image, whole = layer.get_image(), (0, 0, *size)
    kind = Gimp.ImageType.RGB_IMAGE if layer.is_rgb() else Gimp.ImageType.GRAY_IMAGE
    below = Gimp.Layer.new(image, "before", *size, layer.type(), 100, Gimp.LayerMode.NORMAL)
    above = Gimp.Layer.new(image, "after", *size, kind, 100, Gimp.LayerMode.NORMAL)
    name = own_format(layer)
    write(below, whole, name, before)
    write(above, whole, form.format, after)
    above.set_composite_mode(Gimp.LayerCompositeMode.CLIP_TO_BACKDROP)
    for choose in (above.set_composite_space, above.set_blend_space):
        choose(Gimp.LayerColorSpace.RGB_PERCEPTUAL)
    for part in (below, above):
        image.insert_layer(part, None, 0)
    mask = above.create_mask(Gimp.AddMaskType.WHITE)
    above.add_mask(mask)
    write(mask, whole, "Y u8", coverage)
    return read(image.merge_down(above, Gimp.MergeType.CLIP_TO_BOTTOM_LAYER), whole, name)
