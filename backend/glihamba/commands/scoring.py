"""What `glihamba evaluate` and `compare` share: methods, pictures, protocols, and the scoring itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import bar, print_table
from glihamba.commands.training import missing_data, training_module
from glihamba.errors import BadRequest


def is_iharmony4(data: Path) -> bool:
    """Return True if the folder is a copy of iHarmony4, False if it holds photographs."""
    return bool(training_module("data.iharmony4").is_copy(data))


def protocols_named(named: tuple[str, ...]) -> list[str]:
    protocols = training_module("scoring.protocols")
    known = list(protocols.PROTOCOLS)
    others = [f"{name}@{side}" for name in known for side in protocols.SIDES if name != "fullres"]
    if unknown := [name for name in named if name not in (*known, *others, "all")]:
        raise click.BadParameter(
            f"There is no protocol {', '.join(unknown)}: choose {', '.join(known)}, or all.",
            param_hint="--protocol",
        )
    return known if "all" in named else list(named or known[:1])


def label_of(named: str | Path) -> str:
    return named.resolve().name if isinstance(named, Path) else named


def sources_of(
    scoring: Any, data: Path, protocols: list[str], named: Iterable[str | Path], device: str = "cpu"
) -> dict[str, Any]:
    """Return the composite and each model or folder of results, by name.

    Raises BadRequest for a folder that lacks a result, and for two methods of one name.
    """
    found: dict[str, Any] = {scoring.COMPOSITE: None}
    for each in named:
        label = label_of(each)
        if isinstance(each, str):
            found |= scoring.load_models([each], device)
            continue
        if not is_iharmony4(data):
            raise BadRequest(
                f"Results are scored on iHarmony4's test pictures, and {data} is not a copy of iHarmony4."
            )
        if label in found:
            raise BadRequest(f"Two methods are called {label}: rename a folder.")
        found[label] = training_module("scoring.results").ResultsFolder(each)
        try:
            found[label].refuse_unscorable(data, protocols)
        except FileNotFoundError as error:
            raise missing_data(error, data) from error
    return found


def score(
    scoring: Any,
    data: Path,
    count: int,
    sources: dict[str, Any],
    protocols: list[str],
    quiet: bool,
    given: Callable[[Iterable[Any]], Iterator[Any]] = iter,
    *,
    pasted: bool = False,
    batch: int = 1,
    lpips: bool = False,
) -> Any:
    """Return all scores, and draw a progress bar, or print lines where that is a file.

    given: turns the triples of the data into those that are harmonized. lpips: compute LPIPS, too.
    """
    try:
        total = scoring.count_of(data, count)
    except FileNotFoundError as error:
        raise missing_data(error, data) from error
    perceptual = training_module("scoring.perceptual").lpips() if lpips else None
    with bar(not quiet, lines=True) as shown:
        return scoring.evaluate(
            given(named_in(scoring.triples_of(data, count, pasted=pasted), data)),
            sources,
            protocols,
            _counter(shown, total),
            batch,
            perceptual,
        )


def _counter(shown: Any, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        shown.show("all", f"{done:,} of {total:,} pictures", done, total)

    return step


def named_in(triples: Iterable[Any], data: Path) -> Iterator[Any]:
    """Yield the triples. The error for a missing file names the folder."""
    try:
        yield from triples
    except FileNotFoundError as error:
        raise missing_data(error, data) from error


def costs_of(sources: dict[str, Any]) -> list[Any]:
    from glihamba.engine.device import cpu_name
    from glihamba.networks.base import Harmonizer

    networks = {name: source for name, source in sources.items() if isinstance(source, Harmonizer)}
    measured: list[Any] = training_module("scoring.complexity").measure(networks, cpu_name())
    return measured


def watch_over(models: Iterable[str]) -> Any:
    """Return what notes which pictures the models were trained on (`fingerprints.Watch`)."""
    fingerprints, checkpoints = training_module("data.fingerprints"), training_module("run.checkpoints")
    seen = {
        name: fingerprints.Seen.of_records(checkpoints.seen_records(name))
        for name in models
        if name != training_module("scoring.evaluate").COMPOSITE
    }
    return fingerprints.Watch(seen)


def scoring_device(wish: str | None) -> str:
    """Return "cpu" or "cuda" for the option --device, and say why if CUDA was asked for in vain."""
    from glihamba.engine.device import choose_device
    from glihamba_proto.messages import sentence

    chosen = choose_device(wish or "cpu", 0)
    if chosen.notice is not None:
        click.echo(sentence(chosen.notice, "en"), err=True)
    return chosen.kind


def networks_of(models: tuple[str, ...], device: str | None) -> dict[str, Any]:
    """Return networks by name. Raises BadRequest for the composite, which is no network."""
    found: dict[str, Any] = training_module("scoring.evaluate").load_models(models, scoring_device(device))
    if None in found.values():
        raise BadRequest("The composite is there anyway: leave it out of the models.")
    return found


def pictures_of(data: Path, names: tuple[str, ...], count: int) -> Any:
    """Return the pictures to look at with these names, else the first `count`."""
    try:
        return training_module("data.shown").shown(data, names, count)
    except FileNotFoundError as error:
        raise missing_data(error, data) from error


def print_scores(table: Any) -> None:
    """Print a table of `glihamba_training.report.tables` and its note."""
    columns = ["", *([">Pictures"] if any(line.pictures for line in table.lines) else [])]
    columns += [">" + f"{column.group} {column.name}".strip() for column in table.columns]
    sources = any(line.source for line in table.lines)
    rows = []
    for line in table.lines:
        cells = [line.method, *([line.pictures] if ">Pictures" in columns else [])]
        cells += [table.text(line, index) for index in range(len(table.columns))]
        rows.append([*cells, *([line.source or "measured here"] if sources else [])])
    print_table([*columns, *(["Source"] if sources else [])], rows, table.title)
    click.echo(f"{table.note}\n")
