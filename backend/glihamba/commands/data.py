"""`glihamba data`: check a folder of training pictures, and show what training makes of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from glihamba.commands.common import bar, json_option, print_json, print_table, refuse_unwritable
from glihamba.commands.scoring import watch_over
from glihamba.commands.training import counting, missing_data, training_module
from glihamba.errors import BadRequest

NAMED = 20  # the number of problems that are printed
_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Check a folder of training pictures, or show the composites that are made from it."""


@data.command()
@click.argument("root", type=_folder)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Also say which pictures this model was trained on: a name, a checkpoint or a model file. Can be"
    " repeated.",
)
@json_option
@click.pass_context
def check(context: click.Context, root: Path, models: tuple[str, ...], as_json: bool) -> None:
    """Decode everything in ROOT and name what is missing, broken or of the wrong size.

    ROOT is a folder or tars of photographs, or a copy of iHarmony4, which is compared with its official lists
    (65,742 and 7,404 composites). Real pictures that both lists share are named. The exit status is 1 if
    something is wrong; --json lists everything.

    \b
      glihamba data check iharmony4/
    """
    checking = training_module("data.check")
    seen = watch_over(models).seen
    with bar(not as_json) as shown:
        try:
            report = checking.check_data(root, counting(shown, "Checking"), seen)
        except FileNotFoundError as error:
            raise missing_data(error, root) from error
    if as_json:
        print_json(asdict(report))
    else:
        if report.rows:
            columns = [name if isinstance(v, str) else f">{name}" for name, v in report.rows[0].items()]
            cells = [[f"{v:,}" if isinstance(v, int) else v for v in row.values()] for row in report.rows]
            print_table(columns, cells)
        for sentences in (report.problems, report.notes):
            for sentence in sentences[:NAMED]:
                click.echo(sentence)
            if len(sentences) > NAMED:
                click.echo(f"... and {len(sentences) - NAMED:,} more: --json lists them all.")
        click.echo(f"{len(report.problems):,} problems." if report.problems else "Nothing is wrong.")
    context.exit(1 if report.problems else 0)


@data.command()
@click.argument("root", type=_folder)
@click.option("--recipe", default="glihamba-tiny", show_default=True, help="Recipe's name, or a .toml file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="sheet.png", show_default=True)
@click.option(
    "--count", type=click.IntRange(1, 200), default=24, show_default=True, help="Pictures on the sheet."
)
@click.option("--size", type=click.IntRange(8, 1024), help="Pixels a side.  [default: the recipe's]")
@click.option("--step", type=click.IntRange(0), default=0, show_default=True, help="Training step to show.")
def view(root: Path, recipe: str, output: Path, count: int, size: int | None, step: int) -> None:
    """Write a sheet of training pictures made from ROOT: composite, mask, real image, foreground MSE.

    \b
      glihamba data view photos/ --recipe hdnet -o sheet.png
    """
    sources, viewer = training_module("run.sources"), training_module("synthesis.contact_sheets")
    settings = training_module("run.recipe_files").load_recipe(recipe, size=size)
    if output.suffix.lower() != ".png":
        raise BadRequest(f"{output} is not a .png file: name one for the sheet.")
    refuse_unwritable(output)
    with bar() as shown:
        try:
            source, _ = sources.open_source(root, settings, progress=counting(shown, "Decoding"))
        except FileNotFoundError as error:
            raise missing_data(error, root) from error
    batch = source.batch(step, settings.size, count)
    viewer.contact_sheet(batch).save(output)
    errors = viewer.foreground_mse(batch).sort().values.tolist()
    shown_errors = ", ".join(f"{errors[round(q * (count - 1))]:,.0f}" for q in (0, 0.25, 0.5, 0.75, 1))
    click.echo(f"Written: {output}. Quartiles of the foreground MSE, least to greatest: {shown_errors}.")


@data.command()
@click.argument("root", type=_folder)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="New folder for the photographs."
)
@click.option(
    "--licence",
    "licences",
    multiple=True,
    metavar="NAME",
    help="Licence of the manifest to keep, of any version.  [default: cc0, public domain, cc-by, cc-by-sa]",
)
@json_option
def subset(root: Path, output: Path, licences: tuple[str, ...], as_json: bool) -> None:
    """Copy the photographs of ROOT that are under free licences, to train a model that anyone may use.

    NOTICE.txt in the new folder names the origin and the licence of each photograph: ship it with the model.

    \b
      glihamba data subset photos/ -o photos-free/
      glihamba train --recipe glihamba-tiny --data photos-free/ --run runs/free
    """
    licensed = training_module("data.licensed")
    with bar(not as_json) as shown:
        done = licensed.write_subset(root, output, licences or licensed.FREE, counting(shown, "Copying"))
    if as_json:
        print_json(asdict(done))
        return
    kept, left = (sum(counts.values()) for counts in (done.photographs, done.left_out))
    stated = ", ".join(f"{count:,} {licence}" for licence, count in done.photographs.items())
    click.echo(f"Written: {output}, {kept:,} photographs ({stated}). {left:,} were left out.")
