"""`glihamba train` and `export`: options and output. `glihamba_training` does the work."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import NeedsExtra, bar, json_option, print_json
from glihamba.errors import BadRequest
from glihamba.models.registry import BadRecord

EXTRA = ("lightning", "tensorboard", "tomli", "cv2", "jinja2", "markupsafe")
_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("name", required=False)
@click.option("--recipe", help="Recipe's name, or a .toml file. The argument NAME does the same.")
@click.option(
    "--data", required=True, type=_folder, help="iHarmony4 (IHD_train.txt), or photographs: a folder or tars."
)
@click.option(
    "--run",
    "run_folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for checkpoints and log.",
)
@click.option(
    "--resume",
    type=_file,
    help="Checkpoint to resume: a .ckpt, or a .safetensors, which has no state of the optimiser.",
)
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Weights to start from, of no more blocks: a model's name, a .ckpt or a .safetensors.",
)
@click.option("--steps", type=click.IntRange(1), help="Number of steps instead of the recipe's.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Length by the clock instead of by steps: the recipe's schedule is stretched over it.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="Pictures in a step instead of the recipe's. A length in epochs keeps its epochs, one in steps its"
    " steps.",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of all random draws instead of the recipe's.")
@click.option(
    "--set",
    "keys",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of the recipe, such as config.neighbours=3 or synthesis.flip=0. Can be repeated.",
)
@click.option(
    "--precision",
    type=click.Choice(["32", "bf16", "16", "auto"]),
    help="Precision instead of the recipe's. bf16 and 16 are mixed precision. auto is bf16 where the"
    " processor computes in it, else 32.",
)
@click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Threads that make batches ahead."
)
@json_option
def train(
    name: str | None,
    recipe: str | None,
    data: Path,
    run_folder: Path,
    resume: Path | None,
    start: str | None,
    steps: int | None,
    minutes: float | None,
    batch: int | None,
    seed: int | None,
    keys: tuple[str, ...],
    precision: str | None,
    workers: int,
    as_json: bool,
) -> None:
    """Train a model on iHarmony4, or on composites made from photographs while it trains.

    The recipe is a network's name (glihamba-tiny, hdnet, gknet, regional, frih, ...) or a .toml file.
    Checkpoints are written regularly, so Ctrl-C loses little. Resume with --resume RUN/last.ckpt. For several
    graphics cards: torchrun --nproc-per-node 4 -m -- glihamba train ...

    \b
      glihamba train --recipe hdnet --data iharmony4/ --run runs/hdnet
      glihamba train --recipe glihamba-tiny --data photos/ --run runs/mine --from glihamba-tiny
    """
    chosen = recipe or name
    if chosen is None or (recipe and name):
        raise click.UsageError("Name one recipe: glihamba train --recipe NAME.")
    if resume and start:
        raise click.UsageError("--resume continues a training and --from starts a new one: give one of them.")
    training = training_module("run.train")
    load_recipe = training_module("run.recipe_files").load_recipe
    given = {"steps": steps, "minutes": minutes, "precision": precision, "seed": seed}
    settings = load_recipe(chosen, settings=keys, **given, batch=batch)
    own = load_recipe(chosen)
    if settings.batch != own.batch and not minutes:
        click.echo(_another_batch(own, settings), err=True)
    try:
        with bar(not as_json) as shown:
            checkpoint = training.train(
                settings,
                data,
                run_folder,
                resume=resume,
                start=start,
                workers=workers,
                progress=counting(shown, "Decoding"),
            )
    except FileNotFoundError as error:
        raise missing_data(error, data) from error
    if os.environ.get("RANK", "0") == "0":  # one of several processes reports
        print_json({"checkpoint": str(checkpoint)}) if as_json else click.echo(f"Trained: {checkpoint}")


def _another_batch(own: Any, settings: Any) -> str:
    """Return what another batch than the recipe's own does to the length of the training."""
    epochs, before = (each.steps * each.fresh / each.epoch for each in (settings, own))
    same = "the same" if abs(epochs - before) < 0.01 * before else f"{epochs:.2f} instead of {before:.2f}"
    return (
        f"A batch of {settings.batch} instead of {own.batch}: {settings.steps:,} instead of {own.steps:,}"
        f" steps, {same} epochs. The learning rate stays {settings.learning_rate:g}."
    )


def counting(shown: Any, text: str) -> Callable[[int, int], None]:
    """Return a function that draws a bar. Its arguments are the count done and the total, 0 if unknown."""

    def show(done: int, total: int) -> None:
        of = f" of {total:,}" if total else ""
        shown.show(text, f"{text} {done:,}{of}", done, total or done)

    return show


def missing_data(error: FileNotFoundError, data: Path) -> BadRequest:
    """Return the error for data that lacks a file. An error of the system only names the file."""
    return BadRequest(
        f"{data} lacks {error.filename}: give the right folder." if error.filename else str(error)
    )


@click.command()
@click.argument("checkpoint", type=_file)
@click.option("--name", required=True, help="The model's name: lower case letters, digits, . _ and -")
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write to."
)
@click.option("--title", help="The name that people read.  [default: NAME]")
@click.option("--description", default="", help="A sentence on what it is for.")
@click.option("--licence", default="", help="Licence of the weights.  [default: the training pictures']")
@click.option("--training-data", default="", help="What it was trained on.  [default: as the run recorded]")
@click.option(
    "--data",
    type=_folder,
    multiple=True,
    help="Score it on these pictures. Can be repeated.  [default: what its training data holds out]",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    help="Most pictures to score of each folder.  [default: 256 made from photographs, all of iHarmony4's]",
)
@click.option("--half", is_flag=True, help="Write the weights in half precision, at half the size.")
@click.option(
    "--checkpoint",
    "to_go_on",
    is_flag=True,
    help="Write a small checkpoint instead of a model: weights in half precision, step and recipe.",
)
@json_option
def export(
    checkpoint: Path,
    name: str,
    folder: Path,
    title: str | None,
    description: str,
    licence: str,
    training_data: str,
    data: tuple[Path, ...],
    count: int | None,
    half: bool,
    to_go_on: bool,
    as_json: bool,
) -> None:
    """Turn a CHECKPOINT into a model file that `glihamba models add` takes.

    The model's record names its training data, licences, training time and scores. With --checkpoint a small
    file is written instead, which `glihamba train` takes with --from or --resume.

    \b
      glihamba export runs/tiny/last.ckpt --name mine -o weights/ --data iharmony4/
      glihamba export runs/tiny/last.ckpt --name tiny -o kept/ --checkpoint
    """
    if to_go_on:
        if title or description or licence or training_data or data or count or half:
            raise click.UsageError("--checkpoint takes --name and --output only.")
        path = folder / f"{name}.safetensors"
        training_module("run.checkpoints").write_weights(checkpoint, path)
        print_json({"checkpoint": str(path)}) if as_json else click.echo(f"Written: {path}")
        return
    exporting, scoring = training_module("run.export"), training_module("scoring.evaluate")
    roots = list(data)
    if not roots:
        held_out = exporting.held_out(checkpoint)
        roots = [root for root, reason in held_out.items() if not reason]
        for reason in filter(None, held_out.values()):
            click.echo(f"Not scored: {reason}", err=True)
    try:
        record = exporting.export(
            checkpoint,
            folder,
            name=name,
            title=title or name,
            description=description,
            licence=licence,
            training_data=training_data,
            scored_on={
                name: (pictures, ("strict", "fullres"))
                for name, pictures in _to_score(scoring, roots, count).items()
            },
            half=half,
        )
    except (FileNotFoundError, BadRecord) as error:
        raise BadRequest(str(error)) from error
    if as_json:
        print_json(asdict(record))
    else:
        click.echo(f"Written: {folder / name}.safetensors ({record.bytes / 1e6:.1f} MB) and its record.")


def _to_score(scoring: Any, roots: list[Path], count: int | None) -> dict[str, Any]:
    """Return the triples of the folders, at most `count` of each, by the names for the record."""
    found: dict[str, Any] = {}
    for root in roots:
        name = root.resolve().name
        if (
            training_module("data.iharmony4").is_copy(root)
            and count is not None
            and count < scoring.count_of(root)
        ):
            name = f"the first {count:,} of {name}"
        if name in found:
            raise BadRequest(
                f"Two of the folders to score on are called {root.resolve().name}, and the record would keep"
                " only one: rename a folder, or name others with --data."
            )
        triples = scoring.triples_of(root) if count is None else scoring.triples_of(root, count)
        found[name] = triples if count is None else islice(triples, count)
    return found


def training_module(module: str) -> Any:
    """Import a module of `glihamba_training`. Raises NeedsExtra if the extra `train` is not installed."""
    try:
        return importlib.import_module(f"glihamba_training.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRA:
            raise
        raise NeedsExtra(error, "train") from None
