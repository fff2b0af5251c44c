"""What a file is that is none of ours, and what a JPEG, PNG or TIFF holds beside its picture."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

_EXPORT = "export it as PNG or TIFF first"
_LAYER = "export the picture and the layer's mask as PNG first, or use the plugin in {0}"
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}
_STARTS = (
    (b"GIF8", "a GIF picture", _EXPORT),
    (b"BM", "a BMP picture", _EXPORT),
    (b"8BPS", "a Photoshop document", _EXPORT),
    (b"\xff\x0a", "a JPEG XL picture", _EXPORT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", _EXPORT),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", _EXPORT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _EXPORT),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture", "convert it to a float TIFF first"),
    (b"#?RADIANCE", "a Radiance picture", "convert it to a float TIFF first"),
    (b"gimp xcf", "a GIMP document", _LAYER.format("GIMP")),
    (b"%PDF", "a PDF document", _EXPORT),
    (b"FUJIFILMCCD-RAW", "a camera's raw file", "develop it first"),
    (b"IIU\0", "a camera's raw file", "develop it first"),
    (b"IIRO", "a camera's raw file", "develop it first"),
    (b"<svg", "an SVG drawing", _EXPORT),
    (b"<?xml", "an SVG drawing or another text", _EXPORT),
)
_ARCHIVES = (
    (b"mimetypeapplication/x-kr", "a Krita document", _LAYER.format("Krita")),
    (
        b"mimetypeimage/openraster",
        "an OpenRaster document",
        "end its name in .ora, and name the object's layer with --layer",
    ),
)


class Other(NamedTuple):
    """`what` the file is, with its article, and the `remedy`."""

    what: str
    remedy: str


def what_is(head: bytes) -> Other | None:
    """What a file is whose first 64 bytes are `head`, if it is known and none of ours."""
    for start, what, remedy in _STARTS:
        if head.startswith(start):
            return Other(what, remedy)
    for name, what, remedy in _ARCHIVES:
        if head.startswith(b"PK") and name in head:
            return Other(what, remedy)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand == b"crx ":
            return Other("a camera's raw file", "develop it first")
        if brand in _BRANDS:
            return Other(f"a {_BRANDS[brand]} picture", _EXPORT)
        if brand == b"avis":
            one = "save the frame that you mean as a file of its own"
            return Other("an animated AVIF picture", one)
        return Other("an AVIF picture" if is_avif(head) else "a film", _EXPORT)
    return None


def is_avif(head: bytes) -> bool:
    """Whether a file begins as an AVIF picture does, by the brands that it names. Animated ones do not."""
    if head[4:8] != b"ftyp" or head[8:12] == b"avis":
        return False
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return b"avif" in {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


class Light(NamedTuple):
    """What an AVIF says of its colours by the numbers of ITU-T H.273."""

    primaries: int
    transfer: int

    @property
    def is_srgb(self) -> bool:
        # 2: unspecified. 1 and 6, BT.709 and BT.601, are written for sRGB by many programs.
        return self.primaries in (1, 2) and self.transfer in (1, 2, 6, 13)


def light_of(data: bytes) -> Light | None:
    """The colours that an AVIF describes by numbers; None if it does not."""
    at = data.find(b"colrnclx", 0, 1 << 16)
    if at < 0 or len(data) < at + 12:
        return None
    return Light(*struct.unpack(">HH", data[at + 8 : at + 12]))


def is_animated_png(data: bytes) -> bool:
    """Whether a PNG holds more than one frame; other programs show the first one only."""
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"acTL":
            return True
        if name == b"IDAT":
            return False
        at += 12 + length
    return False


def second_picture(data: bytes) -> str:
    """What a JPEG holds beside its picture, in words; empty if nothing."""
    head = data[: 1 << 17]
    if b"http://ns.adobe.com/hdr-gain-map/1.0/" in head or b"urn:iso:std:iso:ts:21496:-1" in head:
        return "a gain map for bright screens"
    return "more pictures, for example of a stereo camera or a preview" if b"MPF\0" in head else ""


class Tags(NamedTuple):
    """What the tags of a TIFF's first picture say beside what libvips reads."""

    is_raw: bool
    has_other_channel: bool
    """The channel after the colours is no opacity: a saved selection, infrared."""
    compression: int
    bits: int


_COMPRESSIONS = {
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_PLAIN = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 13: (4, "I"), 16: (8, "Q")}


def compression_name(number: int) -> str:
    """A TIFF's compression in words."""
    return _COMPRESSIONS.get(number, f"number {number}")


def tags_of(data: bytes) -> Tags:
    """The tags of a TIFF, as far as they can be read."""
    try:
        found = dict(_first_tags(data))
    except (struct.error, ValueError, OverflowError):
        found = {}
    first = {tag: values[0] for tag, values in found.items() if values}
    is_small = bool(first.get(254, 0) & 1)  # the thumbnail of something larger
    is_raw = 50706 in found or data[8:10] == b"CR" or (is_small and 330 in found)
    extra = found.get(338, ())
    colours = {0: 1, 1: 1, 2: 3, 3: 1}.get(first.get(262, 2), 3)
    has_other = first.get(277, 1) > colours and not any(kind in (1, 2) for kind in extra)
    return Tags(is_raw, has_other, first.get(259, 1), first.get(258, 1))


def _first_tags(data: bytes) -> list[tuple[int, tuple[int, ...]]]:
    """(tag, its whole numbers) of a TIFF's first directory."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack(order + "H", data[2:4])[0] == 43
    file = io.BytesIO(data)

    def take(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize("=" + form)))

    file.seek(8 if is_big else 4)
    file.seek(take("Q" if is_big else "I")[0])
    (count,) = take("Q" if is_big else "H")
    found: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(min(count, 500)):
        tag, kind, number = take("HHQ" if is_big else "HHI")
        inline = file.read(8 if is_big else 4)
        if kind not in _PLAIN or not 0 < number <= 64:
            found.append((tag, ()))
            continue
        size, letter = _PLAIN[kind]
        if size * number > len(inline):
            at = struct.unpack(order + ("Q" if is_big else "I"), inline)[0]
            inline = data[at : at + size * number]
        found.append((tag, struct.unpack(f"{order}{number}{letter}", inline[: size * number])))
    return found
