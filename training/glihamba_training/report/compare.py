"""Two methods compared: how much they differ, how certain that is, and where they differ most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from glihamba_training.data.iharmony4 import Triple
from glihamba_training.report import pictures as report_pictures
from glihamba_training.report.page import Page, Plot, Section, caption, facts
from glihamba_training.report.pictures import Wanted
from glihamba_training.report.plots import distributions
from glihamba_training.report.tables import Column, Line, Table
from glihamba_training.scoring.evaluate import RATIOS, SUBSETS, PictureScores
from glihamba_training.scoring.protocols import PROTOCOLS, Method

SHOWN = 3  # pictures for each method in which it is ahead
_DRAWS = 2_000  # of the bootstrap

Pairs = Sequence[tuple[PictureScores, PictureScores]]


def pairs_of(
    rows: Sequence[PictureScores], protocol: str, first: str, second: str
) -> list[tuple[PictureScores, PictureScores]]:
    """Each picture's scores by both methods, in the pictures' order."""
    a, b = (
        {r.picture: r for r in rows if (r.protocol, r.model) == (protocol, name)} for name in (first, second)
    )
    return [(a[picture], b[picture]) for picture in a]


def table(rows: Sequence[PictureScores], protocol: str, first: str, second: str) -> Table:
    """Means of both methods and of the differences second - first, by subset and by foreground ratio."""
    pairs = pairs_of(rows, protocol, first, second)
    groups: dict[str, list[tuple[PictureScores, PictureScores]]] = {"all": pairs}
    for subset in sorted({a.subset for a, _ in pairs}, key=lambda s: (*SUBSETS, s).index(s)):
        groups[subset] = [pair for pair in pairs if pair[0].subset == subset]
    for name, (low, high) in RATIOS.items():
        groups[name] = [pair for pair in pairs if low <= pair[0].ratio < high]
    columns = []
    for metric in ("PSNR", "fMSE"):
        columns += [Column(f"mean {metric}", name) for name in (first, second)]
        columns += [Column(f"{metric}: second - first", n) for n in ("mean", "95 % from", "to", "median")]
        columns += [Column("second better", f"by {metric}", 0)]
    lines = [
        Line(name, f"{len(group):,}", tuple(v for m in ("psnr", "fmse") for v in _figures(group, m)))
        for name, group in groups.items()
        if group
    ]
    return Table(
        f"{second} (second) against {first} (first), protocol {protocol}, {len(pairs):,} pictures",
        tuple(columns),
        tuple(lines),
        "95 %: confidence interval of the mean difference, by bootstrap over the pictures. An interval that"
        " contains 0 does not tell which method is better; with few pictures the interval is too narrow."
        " Second better: number of pictures in which the second method is better.",
    )


def interval(differences: np.ndarray) -> tuple[float | None, float | None]:
    """95 % confidence interval of the mean (percentile bootstrap); None for fewer than three pictures."""
    if len(differences) < 3:
        return None, None
    random = np.random.default_rng(0)
    means = [random.choice(differences, len(differences)).mean() for _ in range(_DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def wanted(rows: Sequence[PictureScores], protocol: str, first: str, second: str) -> list[Wanted]:
    """The SHOWN pictures in which `second` is furthest ahead, and those in which `first` is."""
    pairs = pairs_of(rows, protocol, first, second)
    ranked = sorted(pairs, key=lambda pair: pair[0].scores.psnr - pair[1].scores.psnr)
    ahead = [pair for pair in ranked[:SHOWN] if pair[1].scores.psnr > pair[0].scores.psnr]
    behind = [pair for pair in ranked[::-1][:SHOWN] if pair[1].scores.psnr < pair[0].scores.psnr]
    found = []
    for group, winner in ((ahead, second), (behind, first)):
        for a, b in group:
            found.append(
                Wanted(
                    a.picture,
                    f"{winner} ahead by {abs(b.scores.psnr - a.scores.psnr):.2f} dB",
                    f"{a.subset} {a.picture}, protocol {protocol}: PSNR {a.scores.psnr:.2f} by {first},"
                    f" {b.scores.psnr:.2f} dB by {second}; fMSE {a.scores.fmse:,.0f} and"
                    f" {b.scores.fmse:,.0f}; foreground {a.ratio:.1%} of the picture.",
                    first,
                    second,
                )
            )
    return found


def comparison(
    rows: Sequence[PictureScores],
    triples: Iterable[Triple],
    methods: Mapping[str, Method],
    data: str,
    first: str,
    second: str,
) -> Page:
    """The page of `glihamba compare`. triples: must include those that `wanted` names."""
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    sections = []
    for number, protocol in enumerate(protocols):
        pairs = pairs_of(rows, protocol, first, second)
        series = {f"{second} - {first}": [b.scores.psnr - a.scores.psnr for a, b in pairs]}
        axis = f"difference in PSNR (dB), right of 0 {second} is better"
        plots = [
            Plot(
                caption(rows, protocol, "Differences"),
                Markup(distributions(series, axis, zero=True, first_colour=2)),
            )
        ]
        both = {
            name: [pair[index].scores.psnr for pair in pairs] for index, name in enumerate((first, second))
        }
        plots.insert(
            0,
            Plot(
                caption(rows, protocol, "PSNR"),
                Markup(distributions(both, "PSNR (dB), higher is better", first_colour=1)),
            ),
        )
        tables = [table(rows, protocol, first, second)]
        words = f"{PROTOCOLS[protocol].in_words}."
        sections.append(Section(f"Protocol {protocol}", tables, plots, text=words, folded=number > 0))
    shown = report_pictures.cases(wanted(rows, protocols[0], first, second), triples, methods, protocols[0])
    text = f"By PSNR under {protocols[0]}, {SHOWN} pictures each way at most. Drag to compare the two."
    sections.append(Section("Where they differ most", cases=shown, text=text))
    return Page(f"{first} and {second}", facts(rows, data), sections)


def _figures(pairs: Pairs, metric: str) -> list[float | None]:
    first, second = (np.array([getattr(pair[index].scores, metric) for pair in pairs]) for index in (0, 1))
    differences = second - first
    better = differences > 0 if metric == "psnr" else differences < 0
    return [
        float(first.mean()),
        float(second.mean()),
        float(differences.mean()),
        *interval(differences),
        float(np.median(differences)),
        float(better.sum()),
    ]
