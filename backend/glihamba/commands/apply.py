"""`glihamba apply`: a look-up table on the object of many pictures, such as the frames of a shot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import bar, json_option, print_json, say
from glihamba.commands.pictures import Picture, pairs


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "--mask", required=True, type=click.Path(path_type=Path), help="Mask file or folder: white is the object."
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Output file or folder.")
@json_option
def apply(table: Path, frames: Path, mask: Path, output: Path, as_json: bool) -> int:
    """Recolour the object that MASK marks in FRAMES by a look-up TABLE (.cube).

    Every frame gets the same colours, so an object does not flicker. Files and folders are those of
    `glihamba harmonize`, whose --lut makes the table from one frame.

    \b
      glihamba harmonize frames/0001.png --mask masks/0001.png --lut shot.cube
      glihamba apply shot.cube frames/ --mask masks/ -o harmonized/
    """
    from glihamba import cli, look_up_table
    from glihamba_proto.errors import Failure

    colours = look_up_table.read(table)
    if frames.is_dir():
        wanted = pairs(frames, mask, output)
    else:
        wanted = [Picture(frames, mask, output / frames.name if output.is_dir() else output)]
    failed: list[dict[str, str]] = []
    with bar(not as_json) as shown:
        for number, picture in enumerate(wanted):
            shown.show("all", f"{number + 1} of {len(wanted)}: {picture.composite.name}", number, len(wanted))
            try:
                _one(picture, colours)
            except Failure as error:
                if len(wanted) == 1:
                    raise
                failed.append({"composite": str(picture.composite), "reason": cli.sentence(error)})
    return _tell(len(wanted), failed, as_json)


def _one(picture: Picture, table: Any) -> None:
    """Write one frame's output. Raises BadPicture."""
    import numpy as np

    from glihamba import image_files
    from glihamba.file_host import from_srgb, read_mask, to_srgb
    from glihamba.image_files import BadPicture, rescaled
    from glihamba.srgb import linear_to_srgb, srgb_to_linear
    from glihamba_client.errors import refuse
    from glihamba_proto import checks

    if isinstance(picture.mask, str):
        raise BadPicture(picture.mask)
    image_files.check_target(picture.output)
    frame, mask = image_files.read(picture.composite), read_mask(picture.mask)
    image_files.check_target(picture.output, frame)
    refuse(checks.same_size(mask.shape[::-1], frame.size))
    pixels, transfer = to_srgb(frame)
    value = rescaled(pixels[:, :, :3], np.float32)
    encoded = linear_to_srgb(value) if transfer == "linear" else value
    cover = rescaled(mask[:, :, None], np.float32)
    # What the table changes is added, so that colours beyond its ends keep their distance.
    moved = encoded + cover * (table.apply(np.clip(encoded, 0, 1)) - np.clip(encoded, 0, 1))
    moved = srgb_to_linear(moved) if transfer == "linear" else moved
    result = from_srgb(rescaled(moved, pixels.dtype), frame)
    kept = frame.pixels.copy()
    np.copyto(kept[:, :, : result.shape[2]], result, where=mask[:, :, None] > 0)
    image_files.replace_file(picture.output, image_files.encoded(picture.output, kept, frame))


def _tell(count: int, failed: list[dict[str, str]], as_json: bool) -> int:
    """Print what became of the frames. Returns the exit status."""
    if as_json:
        print_json({"done": count - len(failed), "failed": failed})
    else:
        say(f"{count - len(failed)} of {count} pictures recoloured.")
        for failure in failed:
            say(f"  {Path(failure['composite']).name}: {failure['reason']}", err=True)
    return 1 if failed else 0
