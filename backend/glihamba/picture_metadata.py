"""What libvips does not carry from a picture's file to its result: EXIF, IPTC, PNG's texts, no resolution.

EXIF and IPTC are read from TIFFs into the fields that libvips writes to JPEG, PNG and WebP, and written to
TIFFs by a new first directory. A PNG's texts and colour chunks go to the resulting PNG byte by byte, because
libvips takes their UTF-8 for Latin-1. A resolution that libvips invents is taken away.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from PIL import Image, TiffImagePlugin

_EXIF_IFD, _GPS_IFD, _INTEROPERABILITY, _IPTC = 0x8769, 0x8825, 0xA005, 0x83BB
_RESOLUTION = (0x011A, 0x011B, 0x0128)  # x, y, unit
# Of a TIFF's own directory: what tells of the picture, not of how its file is built.
_TELLING = frozenset(
    (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x4746, 0x4749, _EXIF_IFD, _GPS_IFD)
) | frozenset(range(0x9C9B, 0x9CA0))
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_COLOURS = (b"gAMA", b"cHRM", b"cICP")
_XMP = b"XML:com.adobe.xmp\0"
_IRB, _MARK = b"Photoshop 3.0\0", b"Exif\0\0"


@dataclass(frozen=True)
class Extra:
    """What a file holds beside what libvips reads.

    chunks: a PNG's texts and colour chunks, whole. exif: the EXIF block of a TIFF, empty for other formats.
    iptc: IPTC's records of a TIFF.
    """

    has_resolution: bool = True
    chunks: tuple[bytes, ...] = ()
    exif: bytes = field(default=b"", repr=False)
    iptc: bytes = field(default=b"", repr=False)


NOTHING = Extra()


def read(data: bytes, kind: str) -> Extra:
    """What the file of this format ("png", "jpeg", "tiff", "webp") holds. A damaged part counts as absent."""
    try:
        if kind == "png":
            found = list(_chunks(data))
            kept = tuple(whole for name, whole in found if _is_kept(name, whole))
            return Extra(any(name == b"pHYs" for name, _ in found), kept)
        if kind == "jpeg":
            return Extra(_jpeg_has_resolution(data))
        if kind == "tiff":
            return _of_tiff(data)
    except (struct.error, ValueError, SyntaxError, OSError, KeyError, TypeError, OverflowError):
        pass
    return Extra(has_resolution=False)


def fields(extra: Extra) -> dict[str, bytes]:
    """Libvips' fields of what a TIFF holds, for the other formats."""
    found = {}
    if extra.exif:
        found["exif-data"] = extra.exif
    if extra.iptc:
        padded = extra.iptc + bytes(len(extra.iptc) % 2)
        resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(extra.iptc)) + padded
        found["iptc-data"] = _IRB + resource
    return found


def completed(data: bytes, kind: str, extra: Extra, exif: bytes, iptc: bytes) -> bytes:
    """A file that libvips has written, with what it left out and without what it made up.

    exif, iptc: libvips' fields of the picture, for a TIFF; empty where there is none.
    """
    if kind == "png":
        return _completed_png(data, extra)
    if kind == "webp":
        return _completed_webp(data, extra)
    if kind == "jpeg":
        return _completed_jpeg(data, extra)
    if kind == "tiff" and len(data) < 1 << 31:
        return _completed_tiff(data, extra, exif, iptc)
    return data


# -- PNG


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, the whole chunk) of a PNG."""
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        yield name, data[at : at + 12 + length]
        at += 12 + length


def _is_kept(name: bytes, chunk: bytes) -> bool:
    return name in _COLOURS or (name in _TEXTS and not chunk[8:].startswith(_XMP))


def _completed_png(data: bytes, extra: Extra) -> bytes:
    parts = [data[:8]]
    for name, whole in _chunks(data):
        is_xmp = name in _TEXTS and whole[8:].startswith(_XMP)
        if (
            name in _COLOURS
            or (name in _TEXTS and not is_xmp)
            or (name == b"pHYs" and not extra.has_resolution)
        ):
            continue
        parts.append(_png_exif(whole, extra) if name == b"eXIf" else whole)
        if name == b"IHDR":
            parts.extend(extra.chunks)
    return b"".join(parts)


def _png_exif(chunk: bytes, extra: Extra) -> bytes:
    told = chunk[4:8] + _renewed(chunk[8:-4], extra)
    return chunk[:4] + told + struct.pack(">I", zlib.crc32(told))


# -- WebP


def _completed_webp(data: bytes, extra: Extra) -> bytes:
    """The file, whose EXIF begins as WebP wants it: without the mark that it has in a JPEG."""
    parts, at = [], 12
    while at + 8 <= len(data):
        name, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        value = data[at + 8 : at + 8 + length]
        if name == b"EXIF":
            value = _renewed(value.removeprefix(_MARK), extra)
        parts.append(name + struct.pack("<I", len(value)) + value + bytes(len(value) % 2))
        at += 8 + length + length % 2
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# -- EXIF


def _renewed(block: bytes, extra: Extra) -> bytes:
    """An EXIF block without the thumbnail of the old picture, and without a resolution if there was none."""
    changed = bytearray(block)
    try:
        order = _order(block)
        (first,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, first)
        (second,) = struct.unpack_from(order + "I", block, first + 2 + 12 * count)
        if second:
            struct.pack_into(order + "I", changed, first + 2 + 12 * count, 0)
            _erase_thumbnail(changed, order, second)
        if not extra.has_resolution:
            _forget_resolution(changed, 0)
    except struct.error:
        return block
    return bytes(changed)


def _erase_thumbnail(block: bytearray, order: str, at: int) -> None:
    """Overwrite the picture that the directory at this place tells of."""
    (count,) = struct.unpack_from(order + "H", block, at)
    found = {}
    for entry in range(count):
        tag, _, _, value = struct.unpack_from(order + "HHII", block, at + 2 + 12 * entry)
        found[tag] = value
    start, length = found.get(0x0201, 0), found.get(0x0202, 0)
    if 0 < start <= start + length <= len(block):
        block[start : start + length] = bytes(length)


# -- JPEG


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start and end of its payload) of a JPEG up to its pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        yield data[at + 1], at + 4, at + 2 + length
        at += 2 + length


def _jpeg_has_resolution(data: bytes) -> bool:
    for marker, start, end in _segments(data):
        payload = data[start:end]
        if marker == 0xE0 and payload.startswith(b"JFIF\0") and payload[7] in (1, 2):
            return True
        if marker == 0xE1 and payload.startswith(_MARK):
            exif = Image.Exif()
            exif.load(payload)
            if exif.get(_RESOLUTION[2], 2) in (2, 3) and _RESOLUTION[0] in exif:
                return True
    return False


def _completed_jpeg(data: bytes, extra: Extra) -> bytes:
    """The JPEG with renewed EXIF, and without a resolution if there was none. No byte moves."""
    changed = bytearray(data)
    for marker, start, end in _segments(data):
        payload = data[start:end]
        if marker == 0xE0 and payload.startswith(b"JFIF\0") and not extra.has_resolution:
            changed[start + 7 : start + 12] = b"\0\0\1\0\1"
        if marker == 0xE1 and payload.startswith(_MARK):
            changed[start + len(_MARK) : end] = _renewed(payload[len(_MARK) :], extra)
    return bytes(changed)


def _forget_resolution(data: bytearray, base: int) -> None:
    """In the EXIF block at `base`: 72 of no unit, which EXIF demands where nothing is known."""
    order = "<" if data[base : base + 2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, base + 4)
    (count,) = struct.unpack_from(order + "H", data, base + first)
    for entry in range(count):
        at = base + first + 2 + 12 * entry
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag in _RESOLUTION[:2]:
            (value,) = struct.unpack_from(order + "I", data, at + 8)
            struct.pack_into(order + "II", data, base + value, 72, 1)
        elif tag == _RESOLUTION[2]:
            struct.pack_into(order + "H", data, at + 8, 1)


# -- TIFF


class _Entry(NamedTuple):
    """An entry of a directory: its 12 bytes, and the bytes of its value."""

    whole: bytes
    value: bytes


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _is_big(data: bytes) -> bool:
    """Whether it is a BigTIFF, for more than 2 GB, whose directories are built in another way."""
    return data[2:4] in (b"+\0", b"\0+")


def _directory(data: bytes) -> dict[int, _Entry]:
    """The first directory of a TIFF."""
    order = _order(data)
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    found = {}
    for entry in range(count):
        whole = data[at + 2 + 12 * entry : at + 14 + 12 * entry]
        tag, kind, number, place = struct.unpack(order + "HHII", whole)
        size = _SIZES.get(kind, 1) * number
        found[tag] = _Entry(whole, whole[8 : 8 + size] if size <= 4 else data[place : place + size])
    return found


def _classic(data: bytes) -> bytes:
    """What a BigTIFF says of its picture as a small TIFF of the usual kind. Raises struct.error."""
    order, made = _order(data), bytearray(data[:2])
    made += struct.pack(order + "HI", 42, 8)

    def directory(at: int, wanted: frozenset[int] | None) -> int:
        """Copy the directory at this place; returns where the copy lies."""
        (count,) = struct.unpack_from(order + "Q", data, at)
        entries = []
        for entry in range(min(count, 1000)):
            place = at + 8 + 20 * entry
            tag, kind, number, far = struct.unpack_from(order + "HHQQ", data, place)
            size = _SIZES.get(kind, 0) * number
            if tag in (_EXIF_IFD, _GPS_IFD) and wanted is not None:
                first = far if kind in (16, 18) else struct.unpack_from(order + "I", data, place + 12)[0]
                entries.append((tag, 4, 1, struct.pack(order + "I", directory(first, None))))
            elif 0 < size <= 1 << 24 and (wanted is None or tag in wanted):
                begin = far if size > 8 else place + 12
                entries.append((tag, kind, number, data[begin : begin + size]))
        copy, body = bytearray(struct.pack(order + "H", len(entries))), bytearray()
        where = len(made)
        for tag, kind, number, value in entries:
            copy += struct.pack(order + "HHI", tag, kind, number)
            if len(value) > 4:
                copy += struct.pack(order + "I", where + 2 + 12 * len(entries) + 4 + len(body))
                body += value + bytes(len(value) % 2)
            else:
                copy += value.ljust(4, b"\0")
        made.extend(copy + bytes(4) + body)
        return where

    first = directory(struct.unpack_from(order + "Q", data, 8)[0], _TELLING | {*_RESOLUTION, _IPTC})
    struct.pack_into(order + "I", made, 4, first)
    return bytes(made)


def _of_tiff(data: bytes) -> Extra:
    data = _classic(data) if _is_big(data) else data
    source, exif = Image.Exif(), Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged tags, which are left out
        source.load_from_fp(io.BytesIO(data))
    for tag in source:
        if tag in _TELLING and tag not in (_EXIF_IFD, _GPS_IFD):
            exif[tag] = source[tag]
    for tag in (_EXIF_IFD, _GPS_IFD):
        if within := _within(source, tag):
            exif.get_ifd(tag).update(within)
            exif[tag] = exif.get_ifd(tag)
    found = _directory(data)
    unit = found[_RESOLUTION[2]].value if _RESOLUTION[2] in found else b"\2\0"
    has_resolution = _RESOLUTION[0] in found and max(unit[:2]) in (2, 3)
    iptc = found[_IPTC].value.rstrip(b"\0") if _IPTC in found else b""
    return Extra(has_resolution, (), exif.tobytes() if len(exif) else b"", iptc)


def _within(exif: Image.Exif, tag: int) -> dict[int, Any]:
    """What a directory within an EXIF block holds, without the places of further ones in the old file."""
    return {each: value for each, value in exif.get_ifd(tag).items() if each != _INTEROPERABILITY}


def _completed_tiff(data: bytes, extra: Extra, exif: bytes, iptc: bytes) -> bytes:
    """The TIFF with a new first directory at its end, which points to what is there already."""
    if _is_big(data):
        return data
    order, end = _order(data), bytearray(data)
    entries = {tag: entry.whole for tag, entry in _directory(data).items()}

    def add(tag: int, kind: int, count: int, value: bytes) -> None:
        if len(value) > 4:
            end.extend(bytes(len(end) % 2))
            place = struct.pack(order + "I", len(end))
            end.extend(value)
        else:
            place = value.ljust(4, b"\0")
        entries[tag] = struct.pack(order + "HHI", tag, kind, count) + place

    if exif:
        told = Image.Exif()
        told.load(exif)
        for tag in sorted(_TELLING & set(told) - entries.keys()):
            value = told[tag]
            if isinstance(value, str):
                text = value.encode() + b"\0"
                add(tag, 2, len(text), text)
            elif isinstance(value, bytes):
                add(tag, 1, len(value), value)
        for tag in (_EXIF_IFD, _GPS_IFD):
            if within := _within(told, tag):
                end.extend(bytes(len(end) % 2))
                part: Any = TiffImagePlugin.ImageFileDirectory_v2(prefix=data[:2])
                part.update(within)
                place = len(end)
                end.extend(part.tobytes(place))
                add(tag, 4, 1, struct.pack(order + "I", place))
    if records := extra.iptc or _records(iptc):
        add(_IPTC, 7, len(records), records)
    if not extra.has_resolution:
        for tag in _RESOLUTION:
            entries.pop(tag, None)
    end.extend(bytes(len(end) % 2))
    struct.pack_into(order + "I", end, 4, len(end))
    end.extend(struct.pack(order + "H", len(entries)))
    for _, whole in sorted(entries.items()):
        end.extend(whole)
    end.extend(bytes(4))
    return bytes(end)


def _records(block: bytes) -> bytes:
    """IPTC's records in Photoshop's resources, as a JPEG holds them."""
    at = block.find(b"8BIM\x04\x04")
    if at < 0:
        return b""
    name = block[at + 6]
    at += 6 + name + 1 + (name + 1) % 2
    (length,) = struct.unpack(">I", block[at : at + 4])
    return block[at + 4 : at + 4 + length]
