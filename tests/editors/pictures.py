"""Pictures made of bytes, and comparisons, for cases inside either editor's Python.

Standard library only. Pixels are BGRA, as Krita has them; `swapped` makes RGBA of them.
"""

import array
import json
import os
import struct
import zlib

SIZE = (96, 64)
OBJECT = (30, 20, 32, 24)  # left, top, width, height


def scene_bytes(width, height):
    """A bluish scene with a slope and some grain, BGRA."""
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            grain = (7 * x + 13 * y) % 11
            pixels += bytes((120 + x % 60 + grain, 80 + y % 50 + grain, 60 + grain, 255))
    return bytes(pixels)


def object_bytes(width, height, soft=4):
    """An orange object, soft for `soft` pixels at its edge, BGRA."""
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            edge = min(x, y, width - 1 - x, height - 1 - y) + 1
            alpha = min(255, 255 * edge // (soft + 1)) if soft else 255
            pixels += bytes((40 + x % 20, 120 + y % 30, 220 - x % 16, alpha))
    return bytes(pixels)


def large_scene_bytes(width, height):
    """A scene with grain, all rows alike, in the order of either editor."""
    return (
        bytes((x * 7 + c * 40) % 120 + 60 if c < 3 else 255 for x in range(width) for c in range(4)) * height
    )


def large_object_bytes(width, height):
    """An opaque object with grain and a hue, all rows alike, in the order of either editor."""
    row = bytes(
        (x * 11 + c * 60) % 100 + 60 + 40 * c if c < 3 else 255 for x in range(width) for c in range(4)
    )
    return row * height


def swapped(raw):
    """8-bit pixels with red and blue swapped."""
    pixels = bytearray(raw)
    pixels[0::4], pixels[2::4] = pixels[2::4], pixels[0::4]
    return bytes(pixels)


def at(raw, x, y, width=SIZE[0], kind="B", channels=4):
    """One pixel's samples."""
    samples = array.array(kind, raw)
    place = (y * width + x) * channels
    return list(samples[place : place + channels])


def write(path, raw):
    with open(path, "wb") as file:
        file.write(raw)


def write_png(path, bgra, width, height):
    """An 8-bit RGBA PNG of BGRA bytes."""
    rows = b""
    for y in range(height):
        rows += b"\0" + swapped(bgra[4 * width * y : 4 * width * (y + 1)])
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    write(path, b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def same(found, wanted):
    assert found == wanted, f"found {found}\nwanted {wanted}"


def cut(raw, rect, width, size=4):
    """The bytes of a rectangle."""
    left, top, w, h = rect
    rows = range(top, top + h)
    return b"".join(raw[(y * width + left) * size : (y * width + left + w) * size] for y in rows)


def unchanged_outside(before, after, rect, width, size=4):
    """Every pixel outside `rect` is the same, bit by bit."""
    left, top, w, h = rect
    row = width * size
    for y in range(len(before) // row):
        old, new = before[y * row : (y + 1) * row], after[y * row : (y + 1) * row]
        if top <= y < top + h:
            assert old[: left * size] == new[: left * size], y
            assert old[(left + w) * size :] == new[(left + w) * size :], y
        else:
            assert old == new, y


def settings(**changes):
    """Write the plugin's settings, which it reads at each use."""
    path = os.path.join(os.environ["GLIHAMBA_DATA_DIR"], "settings.json")
    with open(path, encoding="utf-8") as file:
        values = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**values, **changes}, file)
