"""The picture that every host is given, and what Krita saves of it."""

import os

import krita_kit as kit


def case_same(t):
    size = tuple(map(int, os.environ["TEST_SIZE"].split()))
    with open(t.path("picture.rgb"), "rb") as file:
        rgb = file.read()
    with open(t.path("mask.gray"), "rb") as file:
        mask = file.read()
    pixels = bytearray(b"\xff") * (4 * size[0] * size[1])
    for channel in range(3):
        pixels[2 - channel :: 4] = rgb[channel::3]
    document = kit.new(size)
    layer = None
    for name in ("scene", "pasted"):
        layer = kit.paint(document, name, bytes(pixels), (0, 0, *size))
    yield from kit.ready(document, layer)
    chosen = kit.Selection()
    chosen.setPixelData(mask, 0, 0, *size)
    document.setSelection(chosen)
    yield 0.3
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.export(document, t.path("krita.png"))
