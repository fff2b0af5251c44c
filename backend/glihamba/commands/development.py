"""What `glihamba evaluate --development` prints, and every training at its end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import bar, print_json, print_table
from glihamba.commands.training import missing_data, training_module

NOTE = (
    "Gain: PSNR over the composite's in dB, with a 95 % interval; in harmony, what is missing to"
    " {seen:.0f} dB."
    " Left: the object's squared error, the composite's being 1. Worse: pictures that lost more than 0.3 dB."
    " By fMSE: the six sets of wrong composites by the foreground MSE that they have."
)


def print_development(data: Path, models: Mapping[str, Any], csv_file: Path | None, as_json: bool) -> None:
    """Scores the models on the development sets made from `data`; prints sets, directions and the number."""
    development = training_module("scoring.development")
    rows = _rows(development, data, models, quiet=as_json)
    figures, verdicts = development.figures(rows), development.verdicts(rows)
    if csv_file:
        training_module("scoring.evaluate").write_csv(rows, csv_file)
    if as_json:
        found = {"figures": [asdict(f) for f in figures], "verdicts": [asdict(v) for v in verdicts]}
        print_json(json.loads(json.dumps(found).replace("NaN", "null")))
        return
    columns = ["Set", "", ">Pictures", ">Gain", ">from", ">to", ">Left", ">Worse %", ">PSNR"]
    for model in models:
        cells = [_cells(figure) for figure in figures if figure.model == model]
        for above, below in reversed([*pairwise(cells)]):
            below[0] = "" if below[0] == above[0] else below[0]  # a set is named once
        print_table(columns, cells, f"{model}, 256 x 256, {development.PROTOCOL}")
        for verdict in verdicts:
            if verdict.model == model:
                click.echo(_sentence(verdict))
    click.echo(NOTE.format(seen=development.SEEN_FROM))


def _rows(development: Any, data: Path, models: Mapping[str, Any], quiet: bool) -> Any:
    sets, lines = training_module("scoring.development_sets"), development.frozen()
    done = 0
    with bar(not quiet) as shown:

        def step() -> None:
            nonlocal done
            done += 1
            shown.show("all", f"{done:,} pictures", done, sets.count_of(lines))

        try:
            return development.score(sets.development_triples(data, lines), models, step)
        except FileNotFoundError as error:
            raise missing_data(error, data) from error


def _cells(figure: Any) -> list[str]:
    def text(value: float, digits: int) -> str:
        return "" if math.isnan(value) else f"{value:.{digits}f}"

    gains = [text(value, 2) for value in (figure.gain, figure.low, figure.high)]
    rest = [text(figure.left, 2), text(figure.worsened * 100, 0), text(figure.psnr, 2)]
    return [figure.set, figure.direction, f"{figure.pictures:,}", *gains, *rest]


def _sentence(verdict: Any) -> str:
    number = f"The one number: {verdict.number:.2f} dB (95 %: {verdict.low:.2f} to {verdict.high:.2f})"
    gap = "" if math.isnan(verdict.gap) else f"; training photographs {verdict.gap:+.2f} dB beside val"
    return f"{number}{gap}.\n"
