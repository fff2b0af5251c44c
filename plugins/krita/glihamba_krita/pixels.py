"""Krita's pixels as the use case's planes, and back. Knows colour spaces, not layers.

sRGB, encoded or linear, is sent in the document's own depth (16-bit floats as 32-bit ones). Krita converts
everything else (gray, Lab, CMYK and other RGB profiles) to linear floats with sRGB's primaries, unclipped, so
that no colour of a wider gamut is lost, and the result back to the document's space.
"""

from __future__ import annotations

import array
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from krita import Document, Node

from glihamba_client.harmonize_layer import run
from glihamba_client.host import Pixels, Plane, Steps
from glihamba_client.window import Rect
from glihamba_proto.formats import Channels, SampleType, Transfer


class Space(NamedTuple):
    """A colour space as Krita names it."""

    model: str
    depth: str
    profile: str


class Form(NamedTuple):
    """How pixels are sent: Krita's space for them, and its transfer function."""

    space: Space
    transfer: Transfer


LINEAR_SRGB = Space("RGBA", "F32", "sRGB-elle-V2-g10.icc")
SRGB_8 = Space("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
KNOWN: dict[str, Transfer] = {
    "sRGB-elle-V2-srgbtrc.icc": "srgb",
    "sRGB built-in": "srgb",
    "sRGB-elle-V2-g10.icc": "linear",
}
SAMPLES: dict[str, tuple[SampleType, Channels, int]] = {  # red and blue change places in floats
    "U8": ("uint8", "bgra", 1),
    "U16": ("uint16", "bgra", 2),
    "F32": ("float32", "rgba", 4),
}
STRIP = 500_000  # pixels converted in one step, about 20 ms

# For each byte of an alpha sample, little-endian: a table from a coverage of 0 to 255 to it.
_ALPHA = {
    "U8": [bytes(range(256))],
    "U16": [bytes(range(256))] * 2,  # v * 257
    "F32": [
        bytes(table)
        for table in zip(*(array.array("f", [v / 255]).tobytes() for v in range(256)), strict=True)
    ],
}
_ANY = bytes([0]) + bytes([255]) * 255


def space_of(thing: Document | Node) -> Space:
    """The colour space of a document or layer."""
    return Space(thing.colorModel(), thing.colorDepth(), thing.colorProfile())


def converted(
    document: Document, raw: Pixels, size: tuple[int, int], source: Space, target: Space
) -> Steps[bytearray]:
    """`raw` of (width, height) in another space by Krita's own conversion, one strip a step.

    `document` is a copy that nobody sees: Krita converts layers only in a document.
    """
    width, height = size
    view = memoryview(raw).cast("B")
    rows = max(1, STRIP // width)
    stride = len(view) // height
    result = bytearray()
    for top in range(0, height, rows):
        count = min(rows, height - top)
        layer = document.createNode("strip", "paintlayer")
        layer.setColorSpace(*source)
        layer.setPixelData(bytes(view[top * stride : (top + count) * stride]), 0, 0, width, count)
        # From floats to integers of another profile at once, Krita would clip at sRGB's gamut first.
        if source.depth == "F32" and target.depth != "F32" and source.model == target.model:
            layer.setColorSpace(target.model, "F32", target.profile)
        layer.setColorSpace(*target)
        result += memoryview(layer.pixelData(0, 0, width, count))
        yield None
    return result


def form_of(document: Document, space: Space) -> Form:
    """How pixels of `space` are sent."""
    if space.model != "RGBA":
        return Form(LINEAR_SRGB, "linear")
    transfer = KNOWN.get(space.profile) or probe(document, space.profile)
    if transfer is None:
        return Form(LINEAR_SRGB, "linear")
    return Form(space._replace(depth="F32") if space.depth == "F16" else space, transfer)


def probe(document: Document, profile: str) -> Transfer | None:
    """The transfer function of a profile with sRGB's primaries, from how Krita converts it; else None."""
    steps = (0.0, 0.25, 0.5, 0.75, 1.0)
    colours = list(itertools.product(steps, repeat=3))
    raw = array.array("f", itertools.chain.from_iterable((*colour, 1.0) for colour in colours))
    source = Space("RGBA", "F32", profile)
    done = run(converted(document, raw.tobytes(), (len(colours), 1), source, LINEAR_SRGB))
    linear = array.array("f", bytes(done))
    pairs = [(raw[i], linear[i]) for i in range(len(raw)) if i % 4 != 3]
    if all(abs(value - encoded(light)) < 1.5 / 255 for value, light in pairs):
        return "srgb"
    if all(abs(value - light) < 1e-3 for value, light in pairs):
        return "linear"
    return None


def encoded(light: float) -> float:
    """Linear light encoded by the sRGB curve (IEC 61966-2-1), which keeps the sign."""
    size = abs(light)
    curve = 12.92 * size if size <= 0.0031308 else 1.055 * size ** (1 / 2.4) - 0.055
    return curve if light >= 0 else -curve


def size_of(rect: Rect) -> tuple[int, int]:
    """Its width and height."""
    return rect[2], rect[3]


def plane(raw: Pixels, rect: Rect, form: Form) -> Plane:
    """Colours as a plane."""
    left, top, width, height = rect
    samples, channels, _ = SAMPLES[form.space.depth]
    return Plane(width, height, samples, channels, raw, (left, top), form.transfer)


def mask_plane(coverage: bytes, rect: Rect, whole: Rect) -> Plane:
    """The coverage of `rect` as a mask of the part `whole` around it, 0 outside `rect`."""
    (left, top), (width, height) = _place(rect, whole), size_of(rect)
    stride = whole[2]
    mask = bytearray(stride * whole[3])
    for row in range(height):
        begin = (top + row) * stride + left
        mask[begin : begin + width] = coverage[row * width : (row + 1) * width]
    return Plane(*size_of(whole), "uint8", "gray", mask, whole[:2])


def alpha_of(raw: Pixels) -> bytes:
    """The alpha of 8-bit pixels."""
    return bytes(raw)[3::4]


def where(coverage: bytes, touched: bytes) -> bytes:
    """`coverage` where `touched` is not 0, else 0; both of one length."""
    mask = touched.translate(_ANY)
    both = int.from_bytes(coverage, "little") & int.from_bytes(mask, "little")
    return both.to_bytes(len(coverage), "little")


def either(one: bytes, other: bytes) -> bytes:
    """Not 0 where either coverage is not 0; both of one length."""
    both = int.from_bytes(one, "little") | int.from_bytes(other, "little")
    return both.to_bytes(len(one), "little")


def set_alpha(raw: bytearray, depth: str, coverage: bytes) -> None:
    """Write a coverage of 0 to 255 as the alpha of pixels of the depth U8, U16 or F32."""
    tables = _ALPHA[depth]
    size = len(tables)
    for index, table in enumerate(tables):
        raw[3 * size + index :: 4 * size] = coverage.translate(table)


def cropped(raw: Pixels, whole: Rect, rect: Rect) -> bytearray:
    """The part `rect` of pixels that cover `whole`."""
    (left, top), (width, height) = _place(rect, whole), size_of(rect)
    view = memoryview(raw).cast("B")
    stride = len(view) // whole[3]
    pixel = stride // whole[2]
    return bytearray().join(_rows(view, stride, left * pixel, width * pixel, range(top, top + height)))


def _place(rect: Rect, whole: Rect) -> tuple[int, int]:
    return rect[0] - whole[0], rect[1] - whole[1]


def _rows(view: memoryview, stride: int, begin: int, length: int, rows: range) -> Iterator[memoryview]:
    for row in rows:
        yield view[row * stride + begin : row * stride + begin + length]
