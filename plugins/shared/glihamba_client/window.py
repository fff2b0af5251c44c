"""The part of a picture that a host reads and sends: the object and what the network sees around it."""

from __future__ import annotations

from glihamba_client.host import Pixels
from glihamba_proto.formats import Size
from glihamba_proto.windows import CONTEXT, LARGEST_WORKING_SIZE, span

Rect = tuple[int, int, int, int]  # left, top, width, height in pixels


def window(box: Rect, size: Size) -> Rect:
    """Return the part of a picture of `size` that decides the result for an object in `box`.

    box: around all that the mask covers; it may be loose. The result is the same, bit by bit, as for the
    whole picture: the pipeline's window goes by what is at least half covered, and lies in this one wherever
    that is in the box. A soft edge or a loose box moves its middle by half a box at most.
    """
    left, top, width, height = box
    longer = max(width, height)
    side = max(CONTEXT * longer, LARGEST_WORKING_SIZE) + longer
    (first, end), (above, below) = (
        span(start, start + length, side, available)
        for start, length, available in ((left, width, size[0]), (top, height, size[1]))
    )
    return first, above, end - first, below - above


def extent(mask: Pixels, size: Size) -> Rect | None:
    """Return the smallest box around the bytes of `mask` that are not 0; None if all are.

    mask: one byte a pixel, row-major, `size` pixels.
    """
    stride = size[0]
    data = bytes(mask)
    before = len(data) - len(data.lstrip(b"\0"))
    if before == len(data):
        return None
    top, bottom = before // stride, -(-len(data.rstrip(b"\0")) // stride)
    left, right = stride, 0
    for begin in range(top * stride, bottom * stride, stride):
        row = data[begin : begin + stride].rstrip(b"\0")
        if row:
            right = max(right, len(row))
            left = min(left, len(row) - len(row.lstrip(b"\0")))
    return left, top, right - left, bottom - top
