"""OpenRaster documents (.ora): the picture and a layer's coverage as files, and the result as a layer on top.

A document is a zip archive with `mergedimage.png`, `stack.xml` and a PNG for each layer
(https://www.openraster.org, versions 0.0.2 to 0.0.6).
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyvips

from glihamba import image_files
from glihamba.image_files import Array, BadPicture, Picture

MERGED, STACK, THUMBNAIL, KIND = "mergedimage.png", "stack.xml", "Thumbnails/thumbnail.png", "mimetype"
_LARGEST = {STACK: 16 << 20}  # bytes; a picture's own limit is its pixels
_LARGEST_FILE = 1 << 31
_THUMBNAIL_SIDE = 256  # pixels, as the specification says


@dataclass(frozen=True)
class Layer:
    """A layer with a file: its place on the canvas, and its opacity with that of the groups around it."""

    name: str
    source: str
    x: int
    y: int
    opacity: float
    is_visible: bool


@dataclass(frozen=True)
class Opened:
    """composite, mask: files with the merged picture and the layer's coverage. result: where to write one."""

    document: Path
    layer: str
    composite: Path
    mask: Path
    result: Path

    def deliver(self, output: Path) -> None:
        """Write the document with `result` as a layer on top. Raises BadPicture."""
        picture, mask = image_files.read(self.result), image_files.read(self.mask).pixels
        patch = _patch(picture, mask)
        try:
            data = _with_layer(self.document, f"{self.layer} (harmonized)", self.result.read_bytes(), patch)
        except (OSError, zipfile.BadZipFile) as error:
            raise _damaged(self.document, error) from error
        image_files.replace_file(output, data)


@contextmanager
def opened(path: Path, name: str) -> Iterator[Opened]:
    """The document's picture and the coverage of the layer `name`, in files that are gone afterwards.

    Raises BadPicture.
    """
    with tempfile.TemporaryDirectory(prefix="glihamba-ora-") as folder:
        found = Opened(
            path, name, *(Path(folder) / f"{part}.png" for part in ("composite", "mask", "result"))
        )
        try:
            with zipfile.ZipFile(path) as archive:
                found.composite.write_bytes(_entry(archive, MERGED, path))
                layer = _named(_layers(_entry(archive, STACK, path), path), name, path)
                found.mask.write_bytes(_entry(archive, layer.source, path))
        except FileNotFoundError:
            raise BadPicture(f"There is no file {path}: check the name.") from None
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:  # the last: encrypted or oddly packed
            raise _damaged(path, error) from error
        size = image_files.read(found.composite).size
        coverage = _coverage(image_files.read(found.mask), layer, size)
        pyvips.Image.new_from_array(coverage, interpretation="b-w").tiffsave(str(found.mask))
        yield found


def _entry(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise BadPicture(f"{path} has no {name} in it: save it again as OpenRaster.") from None
    if info.file_size > _LARGEST.get(name, _LARGEST_FILE):
        raise BadPicture(f"{path} holds {info.file_size:,} bytes as {name}, which is too much.")
    return archive.read(info)


def _layers(stack: bytes, path: Path) -> list[Layer]:
    """Every layer of the document, from the topmost down."""
    try:
        image = ElementTree.fromstring(stack)
    except ElementTree.ParseError as error:
        raise _damaged(path, error) from error
    found: list[Layer] = []

    def walk(group: ElementTree.Element, opacity: float, is_visible: bool) -> None:
        for element in group:
            own = opacity * float(element.get("opacity", "1"))
            is_shown = is_visible and element.get("visibility", "visible") == "visible"
            if element.tag == "stack":
                walk(element, own, is_shown)
            elif element.tag == "layer" and element.get("src"):
                x, y = (int(element.get(side, "0")) for side in "xy")
                name, source = element.get("name", ""), element.get("src", "")
                found.append(Layer(name, source, x, y, own, is_shown))

    try:
        walk(image, 1.0, True)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    return found


def _named(layers: list[Layer], name: str, path: Path) -> Layer:
    fitting = [layer for layer in layers if layer.name == name]
    if not fitting:
        names = ", ".join(layer.name for layer in layers) or "none"
        raise BadPicture(f"{path} has no layer called {name}: its layers are {names}.")
    if len(fitting) > 1:
        raise BadPicture(f"{path} has {len(fitting)} layers called {name}: give them names of their own.")
    if not fitting[0].is_visible:
        raise BadPicture(f"The layer {name} of {path} is hidden: show it, and save the document again.")
    return fitting[0]


def _coverage(picture: Picture, layer: Layer, size: tuple[int, int]) -> Array:
    """The layer's alpha with its opacity on a canvas of this size (width, height): floats to 1, (H, W).

    Floats say what they mean. Of integers, a faint 1 could be a label, and 1023 of 65535 white of 10 bits.
    """
    pixels = image_files.rescaled(picture.pixels, np.float32)
    alpha = pixels[:, :, -1] if picture.has_alpha else np.ones_like(pixels[:, :, 0])
    alpha = alpha * np.float32(min(max(layer.opacity, 0.0), 1.0))
    width, height = size
    canvas = np.zeros((height, width), alpha.dtype)
    left, top = max(layer.x, 0), max(layer.y, 0)
    right, bottom = min(layer.x + alpha.shape[1], width), min(layer.y + alpha.shape[0], height)
    if left < right and top < bottom:
        canvas[top:bottom, left:right] = alpha[
            top - layer.y : bottom - layer.y, left - layer.x : right - layer.x
        ]
    return canvas


def _patch(picture: Picture, mask: Array) -> bytes:
    """The result where the object is, and nothing elsewhere, as a PNG."""
    pixels = image_files.gray_to_rgb(picture.pixels) if picture.is_gray else picture.pixels
    full = np.iinfo(pixels.dtype).max
    covered = np.where(mask[:, :, :1] > 0, pixels[:, :, 3:] if picture.has_alpha else full, 0)
    colours = np.where(covered > 0, pixels[:, :, :3], 0)
    return _png(np.concatenate([colours, covered], axis=2).astype(pixels.dtype))


def _png(pixels: Array) -> bytes:
    kind = "rgb16" if pixels.dtype == np.uint16 else "srgb"
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    data: bytes = image.pngsave_buffer(bitdepth=8 * pixels.dtype.itemsize)
    return data


def _with_layer(path: Path, name: str, merged: bytes, patch: bytes) -> bytes:
    """The document's bytes with a new layer on top, and with what shows the whole picture renewed."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        names = set(old.namelist())
        source = next(each for n in range(1, 10_000) if (each := f"data/glihamba-{n}.png") not in names)
        image = ElementTree.fromstring(_entry(old, STACK, path))
        stack = image.find("stack")
        if stack is None:
            raise _damaged(path, "there is no stack")
        stack.insert(0, ElementTree.Element("layer", name=name, src=source, x="0", y="0", opacity="1.0"))
        new.writestr(KIND, "image/openraster")  # first and not compressed, as the specification says
        for info in old.infolist():
            if info.filename not in (KIND, STACK, MERGED, THUMBNAIL):
                new.writestr(info, old.read(info))
        new.writestr(STACK, ElementTree.tostring(image, "utf-8", xml_declaration=True), zipfile.ZIP_DEFLATED)
        new.writestr(source, patch)
        new.writestr(MERGED, merged)
        small = pyvips.Image.thumbnail_buffer(merged, _THUMBNAIL_SIDE, height=_THUMBNAIL_SIDE, size="down")
        new.writestr(THUMBNAIL, small.pngsave_buffer(bitdepth=8))
    return made.getvalue()


def _damaged(path: Path, error: object) -> BadPicture:
    return BadPicture(f"{path} is damaged or no OpenRaster document ({error}): save it again.")
