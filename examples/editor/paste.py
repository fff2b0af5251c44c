"""A tiny editor: paste an object over a scene, harmonize its layer, save what is seen.

python examples/editor/paste.py scene.png object.png result.png --at 120 80

The sample of docs/add-an-editor.md: `PasteHost` is all that a new editor has to write for the use case.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glihamba_client.harmonize_layer import guarded, harmonize_layer, run
from glihamba_client.host import Capture, Harmonized, Plane, Progress, at_once
from glihamba_client.service import DaemonService
from glihamba_proto.formats import Channels


@dataclass
class Document:
    """The editor's own idea of a picture: a scene (H,W,3) and an object's layer (h,w,4) at (x, y), 8 bits."""

    scene: NDArray[np.uint8]
    layer: NDArray[np.uint8]
    at: tuple[int, int]

    def __post_init__(self) -> None:
        """A real editor clips a layer at the picture's edge; this one refuses to."""
        (x, y), (height, width) = self.at, self.layer.shape[:2]
        if min(x, y) < 0 or x + width > self.scene.shape[1] or y + height > self.scene.shape[0]:
            raise SystemExit("The object does not lie inside the scene: choose another place with --at.")

    def coverage(self) -> NDArray[np.uint8]:
        """The layer's alpha over the whole picture, (H,W)."""
        mask = np.zeros(self.scene.shape[:2], np.uint8)
        (x, y), (height, width) = self.at, self.layer.shape[:2]
        mask[y : y + height, x : x + width] = self.layer[..., 3]
        return mask

    def flattened(self) -> NDArray[np.uint8]:
        """The picture as seen: the layer over the scene."""
        picture = Image.fromarray(self.scene)
        layer = Image.fromarray(self.layer)
        picture.paste(layer, self.at, layer)
        return np.asarray(picture)


class PasteHost:
    """The five methods through which the use case sees this editor."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.failed = False

    @at_once
    def capture(self) -> Capture:
        """The picture as seen, the object's coverage, and the object's own layer, which is what returns."""
        document = self.document
        return Capture(
            plane(document.flattened()), plane(document.coverage()), plane(document.layer, document.at)
        )

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        """Replace the layer's pixels. An editor with undo does this in one step."""
        pixels = np.frombuffer(harmonized.plane.data, np.uint8).reshape(self.document.layer.shape)
        self.document = Document(self.document.scene, pixels, self.document.at)

    def progress(self, progress: Progress) -> None:
        print(f"\r{progress.fraction:4.0%}", end="", file=sys.stderr, flush=True)

    def cancelled(self) -> bool:
        return False  # whether the person has pressed Cancel; here it is Ctrl-C

    def message(self, text: str, failed: bool = False) -> None:
        self.failed = self.failed or failed
        print(f"\n{text}", file=sys.stderr)


def plane(pixels: NDArray[np.uint8], offset: tuple[int, int] = (0, 0)) -> Plane:
    """An array (H,W), (H,W,3) or (H,W,4) of 8 bits as the contract has it."""
    channels: Channels = "gray" if pixels.ndim == 2 else "rgb" if pixels.shape[2] == 3 else "rgba"
    height, width = pixels.shape[:2]
    return Plane(width, height, "uint8", channels, np.ascontiguousarray(pixels).data.cast("B"), offset)


def main() -> int:
    parser = argparse.ArgumentParser(description="Paste an object over a scene and harmonize it.")
    parser.add_argument("scene", type=Path)
    parser.add_argument("object", type=Path, help="a picture with transparency around the object")
    parser.add_argument("result", type=Path)
    parser.add_argument("--at", type=int, nargs=2, default=(0, 0), metavar=("X", "Y"), help="its top left")
    given = parser.parse_args()
    scene, layer = (
        np.asarray(Image.open(p).convert(m)) for p, m in ((given.scene, "RGB"), (given.object, "RGBA"))
    )
    host = PasteHost(Document(scene, layer, tuple(given.at)))
    run(guarded(host, harmonize_layer(host, DaemonService(name="paste"))))
    if not host.failed:
        Image.fromarray(host.document.flattened()).save(given.result)
    return int(host.failed)


if __name__ == "__main__":
    sys.exit(main())
