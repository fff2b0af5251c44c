"""A small object in a large picture: how many bytes are read of the document, sent and written back."""

from contextlib import contextmanager
from typing import Any

import krita_kit as kit
from krita import Document, Node, Selection

SIZE, RECT = (3000, 2400), (2000, 1500, 300, 300)
READS = (
    (Document, "pixelData"),
    (Node, "pixelData"),
    (Node, "projectionPixelData"),
    (Selection, "pixelData"),
)


@contextmanager
def counted():
    """Count the bytes that anyone reads, writes or sends meanwhile, and the places of what is sent."""
    from glihamba_client.service import DaemonService  # the plugin has made the client importable

    count: dict[str, Any] = {"read": 0, "written": 0, "sent": [], "rects": []}
    watched = (*READS, (Node, "setPixelData"))
    unbound = {(kind, name): getattr(kind, name) for kind, name in watched}
    plain = {(kind, name): vars(kind)[name] for kind, name in watched}  # which bind when put back
    put, start = unbound.pop((Node, "setPixelData")), DaemonService.start

    def reading(method):
        def read(self, *rect):
            raw = method(self, *rect)
            count["read"] += len(raw)
            return raw

        return read

    def write(self, raw, *rect):
        count["written"] += len(raw)
        return put(self, raw, *rect)

    def send(self, capture, *rest):
        count["sent"] += [plane.byte_count for plane in capture.planes]
        count["rects"] += [(*plane.offset, plane.width, plane.height) for plane in capture.planes]
        return start(self, capture, *rest)

    for (kind, name), method in unbound.items():
        setattr(kind, name, reading(method))
    setattr(Node, "setPixelData", write)  # noqa: B010 - to mypy a method is not a variable
    setattr(DaemonService, "start", send)  # noqa: B010
    try:
        yield count
    finally:
        for (kind, name), method in plain.items():
            setattr(kind, name, method)
        setattr(DaemonService, "start", start)  # noqa: B010


def harmonized(t, change=lambda document, layer: None):
    document = kit.new(SIZE)
    kit.paint(document, "scene", kit.pictures.large_scene_bytes(*SIZE), (0, 0, *SIZE))
    layer = kit.paint(document, "pasted", kit.pictures.large_object_bytes(*RECT[2:]), RECT)
    change(document, layer)
    yield from kit.ready(document, layer)
    before = kit.seen(document)
    with counted() as count:
        yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    assert after != before, "nothing has changed"
    kit.unchanged_outside(before, after, RECT, SIZE[0])
    t.fact("count", count)
    t.fact("size", SIZE)
    whole = bytes(layer.projectionPixelData(0, 0, *SIZE))
    for name, raw in (("before", before), ("after", after), ("mask", whole[3::4])):
        kit.write(t.path(f"{t.case}.{name}"), raw)


def case_on_a_layer(t):
    yield from harmonized(t)


def case_multiplied(t):
    """A layer that blends otherwise is written as the composite, and no more of it."""
    yield from harmonized(t, lambda document, layer: layer.setBlendingMode("multiply"))


def case_below_another_layer(t):
    """Then a copy of the document is drawn and read, instead of the document."""

    def cover(document, layer):
        kit.paint(document, "above", kit.object_bytes(40, 40), (10, 10, 40, 40))

    yield from harmonized(t, cover)
