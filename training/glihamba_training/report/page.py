"""The page: tables, distributions and pictures in one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glihamba import __version__
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.report import pictures as report_pictures
from glihamba_training.report.pictures import Case
from glihamba_training.report.plots import MOST_DOTS, distributions
from glihamba_training.report.tables import METRICS, Table, overall, table_1, table_2, table_3
from glihamba_training.scoring.complexity import Cost
from glihamba_training.scoring.evaluate import COMPOSITE, Row
from glihamba_training.scoring.protocols import PROTOCOLS, Source


@dataclass(frozen=True)
class Plot:
    """svg drawn by us."""

    caption: str
    svg: Markup


@dataclass(frozen=True)
class Section:
    """One part of the page; folded: closed until somebody opens it."""

    heading: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    cases: Sequence[Case] = ()
    text: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """What is written; `facts` stand under the title."""

    title: str
    facts: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)


def write(page: Page, path: Path) -> None:
    """Write the page, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("glihamba_training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html.j2").render(
        page=page, ramp=Markup(report_pictures.ramp_css()), full_error=report_pictures.FULL_ERROR
    )
    part = path.with_name(path.name + ".part")
    part.write_text(html, "utf-8")
    part.replace(path)


def facts(rows: Sequence[Row], data: str) -> list[str]:
    """Which pictures, when, with what."""
    count = len({row.picture for row in rows})
    protocols = dict.fromkeys(row.protocol for row in rows)
    return [
        f"{count:,} pictures of {data}",
        "protocol" + ("s" if len(protocols) > 1 else "") + f" {', '.join(protocols)}",
        f"GLIHamba {__version__}, {datetime.date.today().isoformat()}",
    ]


def evaluation(
    rows: Sequence[Row],
    triples: Iterable[Triple],
    models: Mapping[str, Source],
    data: str,
    *,
    beside: bool,
    costs: Sequence[Cost] = (),
) -> Page:
    """The page of `glihamba evaluate`. triples: those that `shown` names at least."""
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    names = [name for name in models if name != COMPOSITE]
    sections = [Section("All in one table", [overall(rows)])]
    wanted = [each for name in names for each in report_pictures.extremes(rows, protocols[0], name)]
    if wanted:
        shown = report_pictures.cases(wanted, triples, models, protocols[0])
        text = (
            f"Ranked by the gain in PSNR over the composite under {protocols[0]}, and shown as that protocol"
            " compared them. Drag to compare before and after."
        )
        sections.append(Section("Best, median, worst", cases=shown, text=text))
    for number, protocol in enumerate(protocols):
        tables = [
            table_1(rows, protocol, beside=beside, metrics=tuple(METRICS)),
            table_2(rows, protocol, beside=beside),
        ]
        plots = [_psnr(rows, protocol, list(models)), *([_gain(rows, protocol, names)] if names else [])]
        words = f"{PROTOCOLS[protocol].in_words}."
        sections.append(Section(f"Protocol {protocol}", tables, plots, text=words, folded=number > 0))
    if costs:
        sections.append(Section("Complexity", [table_3(costs)]))
    return Page("Evaluation: " + ", ".join(names or [COMPOSITE]), facts(rows, data), sections)


def shown(rows: Sequence[Row]) -> set[str]:
    """The names of the pictures that the page of these rows shows."""
    first = rows[0].protocol
    models = dict.fromkeys(row.model for row in rows if row.model != COMPOSITE)
    return {each.picture for model in models for each in report_pictures.extremes(rows, first, model)}


def caption(rows: Sequence[Row], protocol: str, what: str) -> str:
    """What a plot shows, of how many pictures, under which protocol."""
    count = len({row.picture for row in rows if row.protocol == protocol})
    dots = "a dot for each" if count <= MOST_DOTS else f"{MOST_DOTS} of them drawn as dots"
    return f"{what} of {count:,} pictures under protocol {protocol}: {dots}, the middle half and the median."


def _psnr(rows: Sequence[Row], protocol: str, models: Sequence[str]) -> Plot:
    series = {
        model: [r.scores.psnr for r in rows if (r.protocol, r.model) == (protocol, model)] for model in models
    }
    svg = distributions(series, "PSNR (dB), more is better")
    return Plot(caption(rows, protocol, "PSNR"), Markup(svg))


def _gain(rows: Sequence[Row], protocol: str, models: Sequence[str]) -> Plot:
    before = {r.picture: r.scores.psnr for r in rows if (r.protocol, r.model) == (protocol, COMPOSITE)}
    series = {
        model: [r.scores.psnr - before[r.picture] for r in rows if (r.protocol, r.model) == (protocol, model)]
        for model in models
    }
    svg = distributions(
        series, "gain over the composite (dB), right of 0 is better", zero=True, first_colour=1
    )
    return Plot(caption(rows, protocol, "Gain in PSNR over the composite"), Markup(svg))
