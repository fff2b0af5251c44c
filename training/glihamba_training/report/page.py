"""The report page: tables, distributions and pictures in one HTML file that needs no other file."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glihamba import __version__
from glihamba_proto.files import replacing
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.report import pictures as report_pictures
from glihamba_training.report.pictures import Case
from glihamba_training.report.plots import MOST_DOTS, distributions
from glihamba_training.report.tables import Table, overall, table_1, table_2, table_3
from glihamba_training.scoring.complexity import Cost
from glihamba_training.scoring.evaluate import COMPOSITE, PictureScores, metrics_of
from glihamba_training.scoring.protocols import PROTOCOLS, Method


@dataclass(frozen=True)
class Plot:
    """An SVG from `plots.py`, with the text below it."""

    caption: str
    svg: Markup


@dataclass(frozen=True)
class Section:
    """One part of the page. folded: closed until the reader opens it."""

    heading: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    cases: Sequence[Case] = ()
    text: str = ""
    folded: bool = False

    @property
    def errors(self) -> bool:
        """Whether pictures of errors are shown, whose colours must be explained."""
        return any(name.startswith("error of") for case in self.cases for name, _ in case.stills)


@dataclass(frozen=True)
class Page:
    """A whole page. facts: printed under the title."""

    title: str
    facts: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)


def write(page: Page, path: Path) -> None:
    """Writes the page, whole or not at all."""
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
    with replacing(path) as part:
        part.write_text(html, "utf-8")


def facts(rows: Sequence[PictureScores], data: str) -> list[str]:
    """Which pictures, when, with what."""
    count = len({row.picture for row in rows})
    protocols = dict.fromkeys(row.protocol for row in rows)
    return [
        f"{count:,} pictures of {data}",
        "protocol" + ("s" if len(protocols) > 1 else "") + f" {', '.join(protocols)}",
        f"GLIHamba {__version__}, {datetime.date.today().isoformat()}",
    ]


def evaluation(
    rows: Sequence[PictureScores],
    triples: Iterable[Triple],
    methods: Mapping[str, Method],
    data: str,
    *,
    beside: bool,
    costs: Sequence[Cost] = (),
    doubts: Sequence[str] = (),
) -> Page:
    """The page of `glihamba evaluate`.

    triples: at least those that `shown` names. beside: see `table_1`; the papers' figures stand beside those
    of the first protocol alone. doubts: sentences on what the figures are worth, printed under the title.
    """
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    names = [name for name in methods if name != COMPOSITE]
    sections = [Section("Summary", [overall(rows)])]
    wanted = [each for name in names for each in report_pictures.extremes(rows, protocols[0], name)]
    if wanted:
        shown = report_pictures.cases(wanted, triples, methods, protocols[0])
        text = (
            f"Ranked by the gain in PSNR over the composite under {protocols[0]}, and shown as that protocol"
            " compared them. Drag to compare before and after."
        )
        sections.append(Section("Best, median, worst", cases=shown, text=text))
    for number, protocol in enumerate(protocols):
        tables = [
            table_1(rows, protocol, beside=beside and number == 0, metrics=metrics_of(rows)),
            table_2(rows, protocol, beside=beside and number == 0),
        ]
        plots = [_psnr(rows, protocol, list(methods)), *([_gain(rows, protocol, names)] if names else [])]
        words = f"{PROTOCOLS[protocol].in_words}."
        sections.append(Section(f"Protocol {protocol}", tables, plots, text=words, folded=number > 0))
    if costs:
        sections.append(Section("Complexity", [table_3(costs)]))
    return Page("Evaluation: " + ", ".join(names or [COMPOSITE]), [*facts(rows, data), *doubts], sections)


def shown(rows: Sequence[PictureScores]) -> set[str]:
    """Names of the pictures that the page of these scores shows."""
    first = rows[0].protocol
    models = dict.fromkeys(row.model for row in rows if row.model != COMPOSITE)
    return {each.picture for model in models for each in report_pictures.extremes(rows, first, model)}


def caption(rows: Sequence[PictureScores], protocol: str, what: str) -> str:
    """The text below a plot: what it shows, of how many pictures, under which protocol."""
    count = len({row.picture for row in rows if row.protocol == protocol})
    dots = "a dot for each" if count <= MOST_DOTS else f"{MOST_DOTS} of them drawn as dots"
    return f"{what} of {count:,} pictures under protocol {protocol}: {dots}, the middle half and the median."


def _psnr(rows: Sequence[PictureScores], protocol: str, models: Sequence[str]) -> Plot:
    series = {
        model: [r.scores.psnr for r in rows if (r.protocol, r.model) == (protocol, model)] for model in models
    }
    svg = distributions(series, "PSNR (dB), higher is better")
    return Plot(caption(rows, protocol, "PSNR"), Markup(svg))


def _gain(rows: Sequence[PictureScores], protocol: str, models: Sequence[str]) -> Plot:
    before = {r.picture: r.scores.psnr for r in rows if (r.protocol, r.model) == (protocol, COMPOSITE)}
    series = {
        model: [r.scores.psnr - before[r.picture] for r in rows if (r.protocol, r.model) == (protocol, model)]
        for model in models
    }
    svg = distributions(
        series, "gain over the composite (dB), right of 0 is better", zero=True, first_colour=1
    )
    return Plot(caption(rows, protocol, "Gain in PSNR over the composite"), Markup(svg))
