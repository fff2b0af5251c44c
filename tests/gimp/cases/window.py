"""A small object in a large picture: how many bytes are read of the image, sent and written back.

The host runs in this process, so that its reading and writing can be counted.
"""

import os
import sys
from typing import Any

import gimp_kit as kit

SIZE, RECT = (3000, 2400), (2000, 1500, 300, 300)


def after_each(t):
    kit.delete_all()


def counted(image, layer):
    """Harmonize the layer. Returns the new layer and the count of bytes."""
    vendor = os.environ["TEST_VENDOR"]
    sys.path += [vendor, os.path.dirname(os.path.dirname(vendor))]
    from glihamba_gimp import pixels
    from glihamba_gimp.host import GimpHost

    from glihamba_client.harmonize_layer import run
    from glihamba_client.host import Choice
    from glihamba_client.service import DaemonService

    count: dict[str, Any] = {"read": 0, "written": 0, "sent": [], "rects": []}
    read, write = pixels.read, pixels.write

    def reading(*given):
        raw = read(*given)
        count["read"] += len(raw)
        return raw

    def writing(drawable, rect, name, raw):
        count["written"] += len(raw)
        write(drawable, rect, name, raw)

    class Service(DaemonService):
        def start(self, capture, *rest):
            count["sent"] += [plane.byte_count for plane in capture.planes]
            count["rects"] += [(*plane.offset, plane.width, plane.height) for plane in capture.planes]
            return super().start(capture, *rest)

    pixels.read, pixels.write = reading, writing
    try:
        host = GimpHost(image, [layer])
        run(host.add_pixels(Service(), [Choice("tiny")]))
    finally:
        pixels.read, pixels.write = read, write
    return host.added[-1], count


def harmonized(t, change=lambda image, layer: None):
    image, layer = kit.large(*SIZE, RECT)
    change(image, layer)
    below = kit.seen(image, "R'G'B'A u8")
    result, count = counted(image, layer)
    after = kit.seen(image, "R'G'B'A u8")
    assert result is not None
    assert after != below, "nothing has changed"
    kit.unchanged_outside(below, after, RECT, SIZE[0])
    t.fact("count", count)
    t.fact("size", SIZE)
    mask = bytearray(SIZE[0] * SIZE[1])
    left, top, width, height = RECT
    for row in range(top, top + height):
        mask[row * SIZE[0] + left : row * SIZE[0] + left + width] = b"\xff" * width
    for name, raw in (("before", below), ("after", after), ("mask", bytes(mask))):
        kit.write(t.path(f"{t.case}.{name}"), raw)


def case_on_a_layer(t):
    harmonized(t)


def case_selected_in_a_layer_of_the_whole_picture(t):
    """The object is selected in a layer as large as the image."""
    image, _ = kit.large(*SIZE, RECT)
    merged = image.flatten()
    image.select_rectangle(kit.Gimp.ChannelOps.REPLACE, *RECT)
    before = kit.seen(image, "R'G'B'A u8")
    _, count = counted(image, merged)
    kit.unchanged_outside(before, kit.seen(image, "R'G'B'A u8"), RECT, SIZE[0])
    t.fact("count", count)


def case_below_another_layer(t):
    harmonized(t, lambda image, layer: kit.paint(image, "above", kit.object_bytes(40, 40), (10, 10, 40, 40)))
