"""`glihamba harmonize DOCUMENT.ora --layer NAME`: the object is a layer of an OpenRaster document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from glihamba.commands.pictures import Picture, Worker

USE = (
    "An OpenRaster document takes --layer NAME and an output (-o), and neither --mask, --variants nor --lut:"
    " glihamba harmonize picture.ora --layer NAME -o harmonized.ora"
)


def is_one(path: Path) -> bool:
    """Whether the file is called as an OpenRaster document is."""
    return path.suffix.lower() == ".ora"


def harmonize(
    work: Worker, document: Path, layer: str, output: Path, show: Callable[[Any], None]
) -> dict[str, Any]:
    """Harmonize the layer with the merged picture; write a picture, or the document with the result on top.

    Returns the facts of `Worker.harmonize`. Raises ClientError and BadPicture; nothing is written then.
    """
    from glihamba import open_raster
    from glihamba.image_files import BadPicture
    from glihamba_client.errors import ClientError

    if output.is_dir():
        output = output / document.name
    if is_one(output) and not output.parent.is_dir():
        raise BadPicture(f"There is no folder {output.parent}: make it first, or choose another output.")
    if output.exists() and output.samefile(document):
        raise BadPicture(f"The output would overwrite {output}: choose another name.")
    with open_raster.opened(document, layer) as opened:

        def said(words: str) -> str:
            """The words with the names that a person knows, instead of those of our files."""
            named = words.replace(str(opened.composite), str(document))
            return named.replace(str(opened.mask), f"{document} (layer {layer})")

        target = opened.result if is_one(output) else output
        try:
            done = work.harmonize(Picture(opened.composite, opened.mask, target), show)
        except ClientError as error:
            if error.note.detail == said(error.note.detail):
                raise
            raise ClientError(error.code, said(error.note.detail)) from error
        if is_one(output):
            opened.deliver(output)
        shown = [said(message) for message in done["messages"]]
    return {**done, "composite": str(document), "output": str(output), "messages": shown}
