"""Composites whose true colours nobody knows: how far each method changes them, and a page to look at."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from glihamba.networks.base import Harmonizer
from glihamba_proto.files import replacing
from glihamba_training.data.shown import Shown
from glihamba_training.report.figure import harmonized
from glihamba_training.report.page import Page, Section
from glihamba_training.report.pictures import Case, data_uri
from glihamba_training.report.tables import Column, Line, Table
from glihamba_training.scoring.evaluate import COMPOSITE

LEFT = 1.0  # levels of 255: an object that changes by less, root mean square, counts as left alone

_LUMA = np.array((0.299, 0.587, 0.114))


@dataclass(frozen=True)
class Change:
    """What a method did to one object, in levels of 255, weighted by the mask.

    change: root mean square over pixels and channels. light: mean change of luma. warmth: mean change of red
    minus blue.
    """

    model: str
    picture: str
    change: float
    light: float
    warmth: float


def look(
    pictures: Sequence[Shown],
    methods: Mapping[str, Harmonizer],
    data: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Change], Page]:
    """Each method's changes, and a page with every picture before and after."""
    found, cases = [], []
    for number, picture in enumerate(pictures):
        height, width = picture.mask.shape
        before, mask = data_uri(picture.composite), data_uri(np.repeat(picture.mask[..., None], 3, 2))
        for name, network in methods.items():
            answer = harmonized(picture, network)
            change = _change(name, picture, answer)
            found.append(change)
            caption = (
                f"The object changed by {change.change:.1f} levels of 255 (root mean square), its light by"
                f" {change.light:+.1f}, red against blue by {change.warmth:+.1f}."
            )
            after, shape = data_uri(answer), f"{width} / {height}"
            stills = (("mask", mask), (name, after))
            cases.append(
                Case(f"{picture.name}, {name}", caption, shape, (COMPOSITE, before), (name, after), stills)
            )
        progress(number + 1, len(pictures))
    facts = [f"{len(pictures):,} pictures of {data}", "true colours unknown: for looking, not for scores"]
    sections = (Section("Summary", [table(found)]), Section("Before and after", cases=cases))
    return found, Page("Real composites: " + ", ".join(methods), facts, sections)


def table(changes: Sequence[Change]) -> Table:
    """Means over pictures. No column says which method is better."""
    columns = tuple(
        Column("", name, 1)
        for name in ("change", "light", "light, either way", "warmth", "warmth, either way")
    )
    lines = []
    for model in dict.fromkeys(each.model for each in changes):
        own = [each for each in changes if each.model == model]
        light, warmth = (np.array([getattr(each, name) for each in own]) for name in ("light", "warmth"))
        still = sum(each.change < LEFT for each in own)
        values = (
            float(np.mean([each.change for each in own])),
            float(light.mean()),
            float(np.abs(light).mean()),
            float(warmth.mean()),
            float(np.abs(warmth).mean()),
        )
        lines.append(Line(f"{model} ({still:,} left alone)", f"{len(own):,}", values))
    note = (
        "Changes of the object in levels of 255, means over pictures: root mean square, luma, and red minus"
        f" blue. Left alone: changed by less than {LEFT:g}. A larger change is not a better one: look at the"
        " page (--report), or ask people (glihamba preference)."
    )
    return Table("Changes, where the true colours are unknown", columns, tuple(lines), note)


def write_csv(changes: Sequence[Change], path: Path) -> None:
    """One line for each picture and model."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Change)])
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(each).items()}
            for each in changes
        )


def _change(model: str, picture: Shown, answer: np.ndarray) -> Change:
    weight = picture.mask[..., None] / max(float(picture.mask.sum()), 1.0)
    moved = answer.astype(float) - picture.composite
    mean = (moved * weight).sum((0, 1))
    square = float((np.square(moved).mean(-1, keepdims=True) * weight).sum())
    return Change(model, picture.name, square**0.5, float(mean @ _LUMA), float(mean[0] - mean[2]))
