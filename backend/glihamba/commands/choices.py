"""What `glihamba harmonize` makes of one picture beside the best guess: variants and look-up tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from glihamba.commands.pictures import Picture, Worker
from glihamba_client.preview import PARTS, Preview
from glihamba_proto.checks import LEAST_AMOUNT, MOST_AMOUNT, STRONGEST

WORTH_SAYING = 0.5  # levels that a look-up table leaves out


def amounts(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Return what `--amount PART=VALUE` says, given any number of times. Raises BadParameter."""
    found: dict[str, float] = {}
    for value in values:
        part, sign, number = value.partition("=")
        if part not in PARTS or not sign:
            raise click.BadParameter(f"{value!r} is not PART=VALUE with one of {', '.join(PARTS)}.")
        try:
            found[part] = float(number)
        except ValueError:
            raise click.BadParameter(f"{number!r} is not a number.") from None
        if not LEAST_AMOUNT <= found[part] <= MOST_AMOUNT:
            limits = f"from {LEAST_AMOUNT:g} to {MOST_AMOUNT:g}"
            raise click.BadParameter(f"{part} must be {limits}, not {number}.")
    return found


@dataclass(frozen=True)
class Wanted:
    """variants: a picture of each correction. lut: the file for the look-up table, or None. amounts: of the
    correction's parts, by their names.
    """

    variants: bool
    lut: Path | None
    amounts: dict[str, float]


def choose(
    work: Worker,
    composite: Path,
    mask: Path,
    output: Path | None,
    wanted: Wanted,
    show: Callable[[Any], None],
) -> list[dict[str, Any]]:
    """Predict once, then write the table and the pictures. Returns what `--json` prints, facts of each file.

    output: the picture's file, None for the table alone. Raises ClientError and BadPicture.
    """
    from glihamba.image_files import check_target

    if wanted.lut is not None:
        check_table(wanted.lut)
    if output is not None:
        check_target(output)
    small, covered, answer = _predicted(work, composite, mask)
    done: list[dict[str, Any]] = []
    if wanted.lut is not None:
        done.append(_table(wanted, composite.stem, Preview(small, covered, answer.variants[0]), answer, work))
    if output is None:
        return done
    choice = work.choice
    for number, variant in enumerate(answer.variants if wanted.variants else answer.variants[:1], 1):
        strength = min(STRONGEST, variant.strength * choice.strength)
        one = replace(choice, strength=strength, transform=variant.transform)
        picture = Picture(composite, mask, numbered(output, number) if wanted.variants else output)
        facts = Worker(work.service, one).harmonize(picture, show)
        told = {"kind": variant.kind, "probability": round(variant.probability, 3)}
        done.append({**facts, **told, "apart_levels": round(variant.apart, 1)})
    return done


def numbered(output: Path, number: int) -> Path:
    """The output of a variant: out.png -> out-1.png."""
    return output.with_name(f"{output.stem}-{number}{output.suffix}")


def _table(wanted: Wanted, title: str, preview: Preview, answer: Any, work: Worker) -> dict[str, Any]:
    """Write the look-up table. Returns its facts."""
    from glihamba.image_files import replace_file
    from glihamba_client.lut import cube

    assert wanted.lut is not None
    strength = work.choice.strength
    replace_file(wanted.lut, cube(answer.variants[0], strength, wanted.amounts, title).encode())
    left = preview.local_levels(strength, wanted.amounts)
    text = f"a look-up table of the correction by {answer.model}"
    if left >= WORTH_SAYING:
        text += f". Light that differs over the object is left out: {left:.1f} of 255 levels"
    return {
        "output": str(wanted.lut),
        "model": answer.model,
        "left_out_levels": round(left, 2),
        "messages": list(answer.warnings),
        "text": f"{text}.",
    }


def check_table(path: Path) -> None:
    """Raise BadPicture if a look-up table cannot be written there."""
    from glihamba.image_files import BadPicture

    if path.suffix != ".cube":
        raise BadPicture(f"{path} does not end in .cube: look-up tables are written in that format alone.")
    if not path.parent.is_dir():
        raise BadPicture(f"There is no folder {path.parent}: make it first, or choose another output.")


def _predicted(work: Worker, composite: Path, mask: Path) -> tuple[Any, Any, Any]:
    """The small planes that were predicted from, in 8 bits as `Preview` wants them, and the answer."""
    from glihamba.file_host import FileHost
    from glihamba.glance import glance, in_8_bits
    from glihamba_client.harmonize_layer import PATIENCE, check_capture, run

    capture = run(FileHost(composite, mask).capture())
    check_capture(capture)
    small, covered = glance(capture)
    task = work.service.predict(small, covered, work.choice.model)
    try:
        while not task.wait(PATIENCE):
            pass
        return *in_8_bits(small, covered), task.result()
    finally:
        task.cancel()
