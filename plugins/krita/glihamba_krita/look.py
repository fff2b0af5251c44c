"""What the docker shows of a layer: small pictures before and after, drawn anew for every move of a slider.

The layer and its scene are read as for a job, and scaled down. The daemon answers once with the corrections
to choose from. After that no daemon is asked: each small picture knows what the parts of a correction add.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glihamba_client.client import Task
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import check_capture
from glihamba_client.host import Capture, Choice, Harmonized, Pixels, Plane, Steps
from glihamba_client.preview import MOST_PIXELS, Preview
from glihamba_client.service import DaemonService
from glihamba_client.window import Rect, extent
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.windows import SMALL_SIDE

from . import pixels
from .capture import Reading
from .chosen import ChosenLayer
from .qt import QImage, Qt
from .workspace import Workspace

LARGEST = 1024  # pixels of the longer side that Krita converts before
SHOWN = 200  # pixels of the longer side of a picture in the docker
SMALL = 1_000  # of the object's pixels in a picture to choose by
AROUND = 0.35  # of the object's longer side: the scene beside it in the picture


@dataclass(frozen=True)
class Look:
    """A layer's corrections to choose from, with a picture of each.

    variants: the contract's. pictures: large ones, small ones: to choose by. composite: without a correction.
    """

    variants: Sequence[Any]
    pictures: Sequence[Preview]
    small_pictures: Sequence[Preview]
    composite: Plane
    small_composite: Plane
    model: str
    warnings: Sequence[str]


def look_at(layer: ChosenLayer, service: DaemonService, model: str) -> Steps[tuple[Look, Rect]]:
    """Read the layer, ask the daemon, draw. Also the part of the document that was read.

    Closing the generator gives the call up. Raises `ClientError`.
    """
    workspace = Workspace()
    try:
        capture, seen = yield from Reading(layer, workspace).read()
        check_capture(capture)
        composite, mask = yield from scaled_down(capture, seen.form, workspace)
    finally:
        workspace.close()
    if not any(bytes(mask.data)):
        raise ClientError("EMPTY_MASK")
    response = yield from ended(service.predict(composite, mask, model))

    async def draw(task: Task[Look]) -> Look:
        return drawn(composite, mask, response)

    look = yield from ended(Task(draw, "glihamba-draw"))
    return look, seen.window


def ended(task: Task[Any]) -> Steps[Any]:
    """What a task returns, once it has ended."""
    try:
        while not task.wait(0):
            yield task.wait
        return task.result()
    finally:
        task.cancel()


# --- small pictures ---------------------------------------------------------------------------------


def scaled_down(capture: Capture, form: pixels.Form, workspace: Workspace) -> Steps[tuple[Plane, Plane]]:
    """The composite (RGB) and the mask (gray), sRGB of 8 bits, at most SMALL_SIDE pixels wide and high."""
    composite, mask = capture.composite, capture.mask
    raw, size = composite.data, (composite.width, composite.height)
    if form.space != pixels.SRGB_8:
        raw, size = thinned(raw, size)
        raw = yield from workspace.converted(raw, size, form.space, pixels.SRGB_8)
    colours = QImage(bytes(raw), *size, 4 * size[0], QImage.Format.Format_RGB32)
    gray = QImage(bytes(mask.data), mask.width, mask.height, mask.width, QImage.Format.Format_Grayscale8)
    longer = max(mask.width, mask.height)
    wanted = [max(1, round(side * min(1.0, SMALL_SIDE / longer))) for side in (mask.width, mask.height)]
    yield None
    return plane(resized(colours, *wanted), "rgb"), plane(resized(gray, *wanted), "gray")


def thinned(raw: Pixels, size: tuple[int, int]) -> tuple[Pixels, tuple[int, int]]:
    """Every so many rows and columns, so that no more than LARGEST of each are left."""
    step = math.ceil(max(size) / LARGEST)
    view = memoryview(raw).cast("B")
    stride = len(view) // size[1]
    pixel = stride // size[0]
    found = bytearray()
    for row in range(0, size[1], step):
        line = view[row * stride : (row + 1) * stride]
        found += b"".join(line[at : at + pixel] for at in range(0, stride, step * pixel))
    return found, (math.ceil(size[0] / step), math.ceil(size[1] / step))


def resized(image: QImage, width: int, height: int) -> QImage:
    return image.scaled(
        width, height, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    )


def plane(image: QImage, channels: Any) -> Plane:
    """An image's pixels as RGB or gray of 8 bits, without Qt's padding."""
    kind = QImage.Format.Format_RGB888 if channels == "rgb" else QImage.Format.Format_Grayscale8
    plain = image.convertToFormat(kind)
    bits = plain.constBits()
    bits.setsize(plain.bytesPerLine() * plain.height())
    row, stride = plain.width() * (3 if channels == "rgb" else 1), plain.bytesPerLine()
    data = bytes(bits)
    rows = b"".join(data[top * stride : top * stride + row] for top in range(plain.height()))
    return Plane(plain.width(), plain.height(), "uint8", channels, rows)


def image(small: Plane, rgb: bytes | None = None) -> QImage:
    """A plane of RGB as an image; `rgb` in place of its pixels."""
    data = bytes(small.data) if rgb is None else rgb
    shown = QImage(data, small.width, small.height, 3 * small.width, QImage.Format.Format_RGB888)
    return shown.copy()  # Qt keeps no copy of the bytes


def drawn(composite: Plane, mask: Plane, response: Any) -> Look:
    """The small pictures of an answer. Takes a few tenths of a second, so it is called in a thread."""
    part = around(mask)
    sets = []
    for most in (MOST_PIXELS, SMALL):
        own, cover = cut(composite, mask, part, most)
        whole = (0, 0, mask.width, mask.height)
        sets.append((own, [Preview(own, cover, placed(one, whole, part)) for one in response.variants]))
    (large, pictures), (small, smalls) = sets
    return Look(response.variants, pictures, smalls, large, small, response.model, tuple(response.warnings))


def around(mask: Plane) -> Rect:
    """The part of the picture that is shown: the object and some of the scene."""
    box = extent(bytes(mask.data), (mask.width, mask.height))
    assert box is not None
    margin = max(4, round(AROUND * max(box[2:])))
    left, top = max(0, box[0] - margin), max(0, box[1] - margin)
    right, bottom = min(mask.width, box[0] + box[2] + margin), min(mask.height, box[1] + box[3] + margin)
    return left, top, right - left, bottom - top


def cut(composite: Plane, mask: Plane, part: Rect, most: int) -> tuple[Plane, Plane]:
    """The part of both, so small that the mask covers about `most` pixels at most."""
    covered = sum(1 for cover in bytes(mask.data) if cover)
    scale = min(1.0, SHOWN / max(part[2:]), math.sqrt(most / covered))
    size = [max(1, round(side * scale)) for side in part[2:]]
    gray = QImage(bytes(mask.data), mask.width, mask.height, mask.width, QImage.Format.Format_Grayscale8)
    return (
        plane(resized(image(composite).copy(*part), *size), "rgb"),
        plane(resized(gray.copy(*part), *size), "gray"),
    )


# --- where a correction lies ------------------------------------------------------------------------


def placed(variant: Any, whole: Rect, part: Rect) -> Any:
    """A variant of the picture `whole` for the part of it; both in the same pixels."""
    found = pb.Variant()
    found.CopyFrom(variant)
    found.transform.CopyFrom(moved(variant.transform, whole, part))
    return found


def moved(transform: Any, whole: Rect, part: Rect) -> Any:
    """A transform whose window is told in fractions of `whole`, told in fractions of `part`."""
    found = pb.Transform()
    found.CopyFrom(transform)
    for axis, (low, high) in enumerate((("left", "right"), ("top", "bottom"))):
        for name in (low, high):
            place = whole[axis] + getattr(transform, name) * whole[axis + 2]
            setattr(found, name, (place - part[axis]) / part[axis + 2])
    return found


class Placed:
    """The daemon as a service of corrections that were predicted for the part `rect` of the document."""

    def __init__(self, service: DaemonService, rect: Rect) -> None:
        self._service, self._rect = service, rect

    def start(self, capture: Capture, choice: Choice) -> Task[Harmonized]:
        if choice.transform is not None:
            picture = capture.composite
            here = (*picture.offset, picture.width, picture.height)
            choice = replace(choice, transform=moved(choice.transform, self._rect, here))
        return self._service.start(capture, choice)


def amounts_of(values: Mapping[str, float]) -> Any:
    """The contract's `Amounts` of the parts by their names."""
    return pb.Amounts(**values)
