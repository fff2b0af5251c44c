"""The picture that every host is given, and what GIMP saves of it."""

import os

import gimp_kit as kit


def after_each(t):
    kit.delete_all()


def case_same(t):
    size = tuple(map(int, os.environ["TEST_SIZE"].split()))
    with open(t.path("picture.rgb"), "rb") as file:
        pixels = file.read()
    image = kit.new(size)
    layer = None
    for name in ("scene", "pasted"):
        layer = kit.paint(image, name, pixels, (0, 0, *size), alpha=False, form="R'G'B' u8")
    with open(t.path("mask.gray"), "rb") as file:
        kit.put(image.get_selection(), file.read(), form="Y u8")
    kit.harmonize(image, layer)
    kit.export(image, "gimp.png")
