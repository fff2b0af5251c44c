"""`glihamba figure` and `preference`: pictures beside each other, and which of them people prefer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from glihamba.commands.common import (
    bar,
    device_option,
    json_option,
    print_json,
    print_table,
    refuse_unwritable,
)
from glihamba.commands.evaluation import split_names
from glihamba.commands.scoring import networks_of, pictures_of
from glihamba.commands.training import counting, training_module
from glihamba.errors import BadRequest

_data_option = click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="iHarmony4, photographs, or real composites: folders composite (NAME.jpg) and mask (NAME.png).",
)
_names_option = click.option(
    "--names",
    multiple=True,
    callback=split_names,
    metavar="NAME[,NAME]",
    help="Pictures.  [default: the first]",
)
_models_option = click.option(
    "--models",
    multiple=True,
    callback=split_names,
    required=True,
    metavar="NAME[,NAME]",
    help="Models: names, checkpoints or model files.",
)
_written = click.Path(dir_okay=False, path_type=Path)


@click.command()
@_data_option
@_names_option
@_models_option
@click.option("-o", "--output", type=_written, default="figure.png", show_default=True)
@click.option("--count", type=click.IntRange(1, 50), default=6, show_default=True, help="Most pictures.")
@click.option(
    "--side", type=click.IntRange(32, 1024), default=256, show_default=True, help="Pixels of a cell."
)
@device_option
def figure(
    data: Path,
    names: tuple[str, ...],
    models: tuple[str, ...],
    output: Path,
    count: int,
    side: int,
    device: str | None,
) -> None:
    """Write a paper's comparison picture: composite, mask, each model's answer, and the truth if known.

    \b
      glihamba figure --data iharmony4/ --names a0196_1_4,f2232_1_2 --models glihamba-tiny,runs/x/last.ckpt
    """
    if output.suffix.lower() not in (".png", ".jpg"):
        raise BadRequest(f"{output} is not a .png or .jpg file: name one for the figure.")
    refuse_unwritable(output)
    networks = networks_of(models, device)
    pictures = pictures_of(data, names, count)
    with bar() as shown:
        drawn = training_module("report.figure").figure(pictures, networks, side, counting(shown, "Drawing"))
    drawn.save(output)
    click.echo(f"Written: {output}")


@click.group()
def preference() -> None:
    """Ask people which model's pictures look more real, and rank the models by their votes."""


@preference.command()
@_data_option
@_names_option
@_models_option
@click.option("-o", "--output", type=_written, default="vote.html", show_default=True)
@click.option("--count", type=click.IntRange(1, 500), default=40, show_default=True, help="Most pictures.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order of the pairs."
)
@device_option
def page(
    data: Path,
    names: tuple[str, ...],
    models: tuple[str, ...],
    output: Path,
    count: int,
    seed: int,
    device: str | None,
) -> None:
    """Write one page that shows each pair of models on each picture, without names, and saves the votes.

    The composite takes part, too. Give the page to people, and collect the files that it saves.

    \b
      glihamba preference page --data real_composites/ --models glihamba-tiny,runs/x/last.ckpt -o vote.html
    """
    refuse_unwritable(output)
    networks = networks_of(models, device)
    pictures = pictures_of(data, names, count)
    with bar() as shown:
        pairs = training_module("report.preference").write_page(
            pictures, networks, output, seed=seed, progress=counting(shown, "Harmonizing")
        )
    click.echo(f"Written: {output}, {pairs:,} pairs of {len(pictures):,} pictures.")


@preference.command()
@click.argument(
    "votes", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@json_option
def scores(votes: tuple[Path, ...], as_json: bool) -> None:
    """Print Bradley-Terry scores of the votes in the files VOTES, which the page saved. Higher is better.

    \b
      glihamba preference scores votes-ann.json votes-ben.json
    """
    standings = training_module("report.preference").standings(votes)
    if as_json:
        print_json([asdict(standing) for standing in standings])
        return
    rows = [[s.method, f"{s.score:.3f}", f"{s.won:g}", f"{s.votes:,}"] for s in standings]
    print_table(["Method", ">B-T score", ">Won", ">Votes"], rows)
