"""Scores as tables like the papers' Tables 1 to 3, for the terminal and the page.

Every table names its protocol and the number of pictures behind each figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from glihamba_training.scoring import published
from glihamba_training.scoring.complexity import Cost
from glihamba_training.scoring.evaluate import (
    COMPOSITE,
    SUBSETS,
    WORSE,
    PictureScores,
    Summary,
    by_ratio,
    by_subset,
    metrics_of,
    summarise,
)
from glihamba_training.scoring.protocols import METRICS, PROTOCOLS


@dataclass(frozen=True)
class Column:
    """group: printed above neighbours that share it. better: 1 if higher is better, -1 if lower is, 0 if
    neither.
    """

    group: str
    name: str
    decimals: int = 2
    better: int = 0


@dataclass(frozen=True)
class Line:
    """A method's figures, None if not known. source: the paper that prints them, "" if measured."""

    method: str
    pictures: str
    values: tuple[float | None, ...]
    source: str = ""


@dataclass(frozen=True)
class Table:
    """title: names protocol and pictures. note: what a reader must know, printed below."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    note: str = ""

    def text(self, line: Line, index: int) -> str:
        """A figure as it is printed."""
        value = line.values[index]
        return "-" if value is None else f"{value:,.{self.columns[index].decimals}f}"

    def starts(self, index: int) -> bool:
        """Whether a column is the first of its group."""
        return index == 0 or self.columns[index].group != self.columns[index - 1].group

    def groups(self) -> list[tuple[str, int]]:
        """Each group and how many columns it spans."""
        return [(group, len(list(each))) for group, each in groupby(self.columns, lambda c: c.group)]

    def best(self) -> set[tuple[int, int]]:
        """(line, column) of the best measured figures, among methods scored on the same pictures."""
        found = set()
        for index, column in enumerate(self.columns):
            rivals: dict[str, dict[int, float]] = {}
            for number, line in enumerate(self.lines):
                value = line.values[index]
                if not line.source and line.method != COMPOSITE and value is not None:
                    rivals.setdefault(line.pictures, {})[number] = value
            for each in rivals.values():
                if column.better and len(each) > 1:
                    top = (max if column.better > 0 else min)(each.values())
                    found |= {(number, index) for number, value in each.items() if value == top}
        return found


def overall(rows: Sequence[PictureScores]) -> Table:
    """All protocols and methods, means and medians over all pictures."""
    measured = metrics_of(rows)
    names = (*measured, "median_psnr", "median_fmse", "worsened")
    columns = [_column("mean", name) for name in measured]
    columns += [
        Column("median", "PSNR", 2, 1),
        Column("median", "fMSE", 2, -1),
        Column("", f"lost > {WORSE} dB", 0, -1),
    ]
    lines = [
        Line(s.model, f"{s.protocol}, {s.pictures:,}", tuple(float(getattr(s, n)) for n in names))
        for s in summarise(list(rows))
    ]
    note = " ".join(
        f"{name}: {PROTOCOLS[name].in_words}." for name in dict.fromkeys(r.protocol for r in rows)
    )
    return Table(f"All protocols, {_pictures(rows)} each", tuple(columns), tuple(lines), note)


def table_1(rows: Sequence[PictureScores], protocol: str, *, beside: bool, metrics: Sequence[str]) -> Table:
    """By subset. beside: print the papers' figures, which are of iHarmony4, beside these."""
    rows = [row for row in rows if row.protocol == protocol]
    summaries = [*by_subset(rows), *summarise(rows)]
    groups = [*SUBSETS, "all"] if beside else list(dict.fromkeys(s.group for s in summaries))
    lines = published.BY_SUBSET if beside else ()
    return _grouped("Table 1: by subset", rows, summaries, groups, metrics, lines)


def table_2(rows: Sequence[PictureScores], protocol: str, *, beside: bool) -> Table:
    """By the foreground's share of the picture. beside: see `table_1`."""
    rows = [row for row in rows if row.protocol == protocol]
    summaries = [*by_ratio(rows), *summarise(rows)]
    lines = published.BY_RATIO if beside else ()
    return _grouped(
        "Table 2: by foreground ratio", rows, summaries, list(published.RATIOS), ("mse", "fmse"), lines
    )


def table_3(costs: Sequence[Cost]) -> Table:
    """Complexity, like Table 3 of Sun et al. 2024."""
    columns = (
        Column("multiply-adds (G)", "linear, convolution", 3),
        Column("multiply-adds (G)", "scan", 3),
        Column("", "parameters (M)"),
        Column("", "time (ms)"),
        Column("", "side (pixels)", 0),
    )
    lines = [
        Line(c.model, "", (c.multiply_adds / 1e9, c.scan / 1e9, c.parameters / 1e6, c.milliseconds, c.side))
        for c in costs
    ]
    for method, (flops, parameters, milliseconds) in published.COMPLEXITY.items():
        values = (flops, None, parameters, milliseconds, None)
        lines.append(Line(method, "", values, f"{published.COMPLEXITY_SOURCE}: counting, device unstated"))
    note = (
        "Measured for one picture at the network's working size. Multiply-adds are those of linear layers,"
        " convolutions and products of activations; the scan's are 9 L D N for each direction, with L pixels,"
        f" D channels and N states. Time is the median of {costs[0].runs} runs ({costs[0].device})."
        if costs
        else ""
    )
    return Table("Table 3: complexity", columns, tuple(lines), note)


def _grouped(
    title: str,
    rows: Sequence[PictureScores],
    summaries: Sequence[Summary],
    groups: Sequence[str],
    metrics: Sequence[str],
    beside: Sequence[published.Published],
) -> Table:
    protocol = rows[0].protocol
    found = {(s.model, s.group): s for s in summaries}
    counts = {s.group: s.pictures for s in summaries}
    # Papers print neither. Of all pictures they are enough: in each group the table is too wide to see.
    rare = ("ssim", "lpips")
    places = [(group, name) for group in groups for name in metrics if group == "all" or name not in rare]
    columns = [replace(_column("", m), group=f"{group} ({counts.get(group, 0):,})") for group, m in places]
    lines = []
    for model in dict.fromkeys(row.model for row in rows):
        measured = [(found.get((model, group)), name) for group, name in places]
        values = [None if s is None else float(getattr(s, name)) for s, name in measured]
        lines.append(Line(model, f"{counts['all']:,}", tuple(values)))
    footnotes: list[str] = []
    for line in beside:
        figures = [line.figures[group].get(name) for group, name in places]
        whose = line.source + (f" · {line.protocol}" if line.protocol else "")
        if doubts := published.NOTES.get(line.method):
            footnotes.append(f"[{len(footnotes) + 1}] {line.method}: {doubts}")
            whose += f" [{len(footnotes)}]"
        lines.append(Line(line.method, f"{published.SUBSETS['all']:,}", tuple(figures), whose))
    note = (
        "In brackets: number of pictures measured here. Lines with a source are figures that the paper prints"
        " for iHarmony4's 7,404 test pictures, with the protocol of its public code if there is one (no paper"
        " states its protocol). Figures are comparable only for the same pictures and protocol."
        if beside
        else "In brackets: number of pictures."
    )
    note = " ".join([note, *footnotes])
    return Table(f"{title}, protocol {protocol}, {_pictures(rows)}", tuple(columns), tuple(lines), note)


def _column(group: str, name: str) -> Column:
    metric = METRICS[name]
    return Column(group, metric.label, metric.decimals, metric.better)


def _pictures(rows: Sequence[PictureScores]) -> str:
    count = len({row.picture for row in rows})
    return f"{count:,} picture" + ("s" if count != 1 else "")
