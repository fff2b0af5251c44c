"""`glihamba evaluate` and `compare`: score methods, and print tables or write JSON, CSV or a page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import device_option, json_option, print_json, refuse_unwritable
from glihamba.commands.development import print_development
from glihamba.commands.looking import print_changes
from glihamba.commands.scoring import (
    costs_of,
    is_iharmony4,
    label_of,
    named_in,
    print_scores,
    protocols_named,
    score,
    scoring_device,
    sources_of,
    watch_over,
)
from glihamba.commands.training import training_module
from glihamba.errors import BadRequest

_folder = click.Path(exists=True, file_okay=False, path_type=Path)
_written = click.Path(dir_okay=False, path_type=Path)


def split_names(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of an option that takes names separated by commas and can be repeated."""
    names = (name.strip() for text in value for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


data_option = click.option(
    "--data",
    required=True,
    type=_folder,
    help="iHarmony4 (IHD_test.txt), photographs (a folder or tars), or real composites.",
)
protocol_option = click.option(
    "--protocol",
    "protocols",
    multiple=True,
    callback=split_names,
    metavar="NAME[,NAME]",
    help="strict, dovenet, idih, gtbg, fullres, or all of them; all but the last also as NAME@1024 and"
    " NAME@2048.  [default: strict]",
)
count_option = click.option(
    "--count",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Most pictures that are made from photographs.",
)
report_option = click.option(
    "--report", type=_written, help="Write a page for the browser, such as out.html."
)
csv_option = click.option("--csv", "csv_file", type=_written, help="Write every picture's scores as CSV.")


@click.command()
@data_option
@click.option(
    "--model",
    "models",
    multiple=True,
    callback=split_names,
    metavar="NAME[,NAME]",
    help="Models to score: names, checkpoints (runs/x/last.ckpt) or model files."
    "  [default: the default model, unless --results is given]",
)
@click.option(
    "--results",
    multiple=True,
    type=_folder,
    help="Folder of any method's results, named like iHarmony4's composites; can be repeated.",
)
@protocol_option
@click.option(
    "--harmonious",
    is_flag=True,
    help="Harmonize the real pictures instead of the composites. They should not change.",
)
@click.option(
    "--pasted",
    is_flag=True,
    help="Photographs only: move each object elsewhere in its photograph, as if it were pasted.",
)
@click.option(
    "--development",
    is_flag=True,
    help="Of the project's photographs: the sets that weights are chosen on, and their one number.",
)
@count_option
@report_option
@csv_option
@click.option(
    "--lpips", is_flag=True, help="Also measure LPIPS, which needs torchvision and AlexNet's weights."
)
@click.option("--complexity", is_flag=True, help="Also measure parameters, multiply-adds and time.")
@device_option
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Pictures that a network sees at once, at a protocol's fixed size.",
)
@json_option
def evaluate(
    data: Path,
    models: tuple[str, ...],
    results: tuple[Path, ...],
    protocols: tuple[str, ...],
    harmonious: bool,
    pasted: bool,
    development: bool,
    count: int,
    report: Path | None,
    csv_file: Path | None,
    lpips: bool,
    complexity: bool,
    device: str | None,
    batch: int,
    as_json: bool,
) -> None:
    """Score models (and the untouched composite) on pictures whose true colours are known.

    Prints PSNR in dB and SSIM (higher is better), MSE and foreground MSE on the 0 to 255 scale, and with
    --lpips LPIPS (lower is better). Scores are of all pictures, of each subset and of each range of the
    foreground's share. For iHarmony4 the papers' figures stand beside them. Figures of different protocols
    differ by up to 1 dB. The protocol strict is ours. The others are those of the methods' public code.
    Of real composites (folders composite and mask), whose true colours nobody knows, it prints how far each
    model changes them, and --report shows each before and after.

    \b
      glihamba evaluate --data iharmony4/ --model statistics,glihamba-tiny --protocol strict,fullres
      glihamba evaluate --data iharmony4/ --model runs/x/last.ckpt --device cuda --batch 16
      glihamba evaluate --data iharmony4/ --results their-output/ --protocol all --report out.html
    """
    scoring = training_module("scoring.evaluate")
    chosen = protocols_named(protocols)
    refuse_unwritable(report, csv_file)
    from glihamba.commands.models import default_model

    names = models or (() if results else (default_model(),))
    if development:
        _refuse_beside_development(results, protocols, harmonious or pasted or complexity or lpips, report)
        models_and_best = scoring.with_best_of(scoring.load_models(names))
        print_development(data, models_and_best, csv_file, as_json)
        return
    if complexity and not names:
        raise BadRequest("A folder of results has no complexity to measure: name a model with --model.")
    if harmonious and results:
        raise BadRequest(
            "--harmonious is for models, and --results holds harmonized composites: leave out one."
        )
    if pasted and is_iharmony4(data):
        raise BadRequest(
            f"{data} is iHarmony4, which has its own composites. Leave out --pasted: it is for photographs."
        )
    if training_module("data.shown").without_truth(data):
        if results or protocols or harmonious or pasted or complexity or lpips:
            raise BadRequest(
                f"Nobody knows the true colours of the pictures in {data}, so nothing is scored: only"
                " --model, --count, --report, --csv and --json go with them."
            )
        print_changes(data, names, device, count, report, csv_file, as_json)
        return
    where = scoring_device(device)
    sources = scoring.with_best_of(sources_of(scoring, data, chosen, [*names, *results], where))
    watch = watch_over(names)

    def given(triples: Any) -> Any:
        return watch.watched(scoring.harmonious(triples) if harmonious else triples)

    rows = score(
        scoring, data, count, sources, chosen, as_json, given, pasted=pasted, batch=batch, lpips=lpips
    )
    costs = costs_of(sources) if complexity else []
    trained_on, said = dict(watch.found), watch.sentences()
    sets = training_module("data.iharmony4")
    beside = sets.kind_of(data) == sets.NAME and not harmonious
    if csv_file:
        scoring.write_csv(rows, csv_file)
    if report:
        pages = training_module("report.page")
        triples = given(scoring.chosen_triples(data, pages.shown(rows), count, pasted=pasted))
        page = pages.evaluation(
            rows, named_in(triples, data), sources, data.name, beside=beside, costs=costs, doubts=said
        )
        pages.write(page, report)
    if as_json:
        summaries = [*scoring.summarise(rows), *scoring.by_subset(rows), *scoring.by_ratio(rows)]
        costs = [asdict(cost) for cost in costs]
        print_json({"scores": [asdict(s) for s in summaries], "complexity": costs, "trained_on": trained_on})
        return
    tables = training_module("report.tables")
    print_scores(tables.overall(rows))
    for protocol in chosen:
        published = beside and protocol == chosen[0]  # once is enough
        print_scores(tables.table_1(rows, protocol, beside=published, metrics=("mse", "psnr")))
        print_scores(tables.table_2(rows, protocol, beside=published))
    if costs:
        print_scores(tables.table_3(costs))
    for sentence in said:
        click.echo(sentence)
    for path in (report, csv_file):
        if path:
            click.echo(f"Written: {path}")


def _refuse_beside_development(
    results: tuple[Path, ...], protocols: tuple[str, ...], others: bool, report: Path | None
) -> None:
    if results or protocols or others or report:
        raise BadRequest(
            "--development has its own pictures and protocol: it goes with --model, --csv, --json."
        )


@click.command()
@click.argument("first")
@click.argument("second")
@data_option
@protocol_option
@count_option
@report_option
@csv_option
@json_option
def compare(
    first: str,
    second: str,
    data: Path,
    protocols: tuple[str, ...],
    count: int,
    report: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Score two methods on the same pictures, and say how certainly SECOND differs from FIRST.

    Each method is a model's name, "composite", or a folder of results named like iHarmony4's composites.

    \b
      glihamba compare statistics glihamba-tiny --data iharmony4/ --report compared.html
    """
    scoring = training_module("scoring.evaluate")
    chosen = protocols_named(protocols)
    refuse_unwritable(report, csv_file)
    named = [Path(name) if Path(name).is_dir() else name for name in (first, second)]
    a, b = (label_of(name) for name in named)
    if a == b:
        raise BadRequest(f"Both methods are called {a}: name two different models or folders.")
    sources = sources_of(scoring, data, chosen, named)
    rows = score(scoring, data, count, sources, chosen, as_json)
    comparing = training_module("report.compare")
    if csv_file:
        scoring.write_csv(rows, csv_file)
    if report:
        wanted = {each.picture for each in comparing.wanted(rows, chosen[0], a, b)}
        triples = scoring.chosen_triples(data, wanted, count)
        page = comparing.comparison(rows, named_in(triples, data), sources, data.name, a, b)
        training_module("report.page").write(page, report)
    tables = {protocol: comparing.table(rows, protocol, a, b) for protocol in chosen}
    if as_json:
        print_json({protocol: asdict(table) for protocol, table in tables.items()})
        return
    for table in tables.values():
        print_scores(table)
    for path in (report, csv_file):
        if path:
            click.echo(f"Written: {path}")
