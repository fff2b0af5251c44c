"""`glihamba reproduce`: a paper's ablation, trained where it is missing, printed beside ours."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import json_option, print_json, print_table, refuse_unwritable
from glihamba.commands.evaluation import count_option, csv_option
from glihamba.commands.scoring import print_scores, protocols_named, score
from glihamba.commands.training import missing_data, training_module
from glihamba.errors import BadRequest

_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", required=False)
@click.option(
    "--data",
    type=_folder,
    help="iHarmony4 (IHD_train.txt and IHD_test.txt), or photographs: a folder or tars.",
)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder of the trainings, one folder for each. Those that ended are not repeated.",
)
@click.option("--steps", type=click.IntRange(1), help="Number of steps instead of the recipes'.")
@click.option(
    "--set", "keys", multiple=True, metavar="KEY=VALUE", help="Any key of all recipes. Can be repeated."
)
@click.option("--protocol", help="Protocol to score under.  [default: the public code's, else strict]")
@click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Threads that make batches ahead."
)
@count_option
@csv_option
@json_option
def reproduce(
    name: str | None,
    data: Path | None,
    runs: Path,
    steps: int | None,
    keys: tuple[str, ...],
    protocol: str | None,
    workers: int,
    count: int,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Train what a paper's ablation NAME needs, score it, and print the paper's table beside ours.

    Without NAME, list the ablations. An interrupted call goes on where it stopped. The weights at the end of
    each training are scored. docs/reproduce.md lists every table and figure of the five papers.

    \b
      glihamba reproduce
      glihamba reproduce "HDNet Table 3" --data iharmony4/ --runs runs/
    """
    ablations = training_module("scoring.ablations").ABLATIONS
    if name is None:
        _list(ablations, as_json)
        return
    ablation = _named(ablations, name)
    if data is None:
        raise click.UsageError(f'Name the pictures: glihamba reproduce "{ablation.name}" --data FOLDER.')
    refuse_unwritable(csv_file)
    chosen = protocols_named((protocol or ablation.protocol,))
    reproducing, scoring = training_module("run.reproduce"), training_module("scoring.evaluate")
    try:
        methods = reproducing.trained(
            ablation, data, runs, steps=steps, settings=keys, workers=workers, telling=_tell
        )
        rows = score(scoring, data, count, methods, chosen, as_json)
    except FileNotFoundError as error:
        raise missing_data(error, data) from error
    if csv_file:
        scoring.write_csv(rows, csv_file)
    table = reproducing.table(ablation, rows)
    if as_json:
        print_json(asdict(table))
        return
    print_scores(table)
    if csv_file:
        click.echo(f"Written: {csv_file}")


def _tell(recipe: str, first: int, last: int) -> None:
    begins = f"goes on at step {first:,}" if first else "begins"
    click.echo(f"The training {recipe} {begins} and ends at step {last:,}.", err=True)


def _list(ablations: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json([asdict(ablation) for ablation in ablations.values()])
        return
    trainings = [len({row.recipe for row in each.rows if row.recipe}) for each in ablations.values()]
    rows = [
        [each.name, each.about, str(number)]
        for each, number in zip(ablations.values(), trainings, strict=True)
    ]
    print_table(["Name", "About", ">Trainings"], rows)


def _named(ablations: dict[str, Any], name: str) -> Any:
    """Return the ablation, whatever the case of its name."""
    folded = {each.casefold(): ablation for each, ablation in ablations.items()}
    if name.casefold() in folded:
        return folded[name.casefold()]
    near = difflib.get_close_matches(name.casefold(), folded, 1)
    hint = f" Did you mean “{folded[near[0]].name}”?" if near else ""
    raise BadRequest(f"There is no ablation “{name}”: `glihamba reproduce` lists them.{hint}")
