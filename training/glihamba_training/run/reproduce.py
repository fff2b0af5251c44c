"""Trains what an ablation needs and does not have yet, and puts the paper's figures beside ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba_training.report.tables import Column, Line, Table
from glihamba_training.run.checkpoints import averaged_weights, read_checkpoint, take_weights
from glihamba_training.run.recipe import Recipe
from glihamba_training.run.recipe_files import load_recipe
from glihamba_training.run.train import train
from glihamba_training.scoring.ablations import PICTURES, Ablation
from glihamba_training.scoring.evaluate import (
    COMPOSITE,
    PictureScores,
    by_ratio,
    by_subset,
    summarise,
)
from glihamba_training.scoring.protocols import METRICS, Method

OnRun = Callable[[str, int, int], None]
"""Called with a recipe's name, the step that its run begins with and the step that it ends with."""


def trained(
    ablation: Ablation,
    data: Path,
    runs: Path,
    *,
    steps: int | None = None,
    settings: Sequence[str] = (),
    workers: int = 0,
    telling: OnRun = lambda name, first, last: None,
) -> dict[str, Method]:
    """The network of each row, by its recipe's name, and the composite; what is missing is trained.

    A run lies in `runs/NAME`, a recipe's slash replaced by "-". One that ended is taken as it is, one that
    was interrupted goes on. steps, settings: for all recipes, see `load_recipe`. Raises what `train` raises.
    """
    methods: dict[str, Method] = {COMPOSITE: None}
    for name in dict.fromkeys(row.recipe for row in ablation.rows if row.recipe):
        recipe = load_recipe(name, settings=settings, steps=steps)
        run = runs / name.replace("/", "-")
        last = run / "last.ckpt"
        done = read_checkpoint(last)["global_step"] if last.exists() else 0
        if done < recipe.steps:
            telling(name, done, recipe.steps)
            train(recipe, data, run, resume=last if done else None, workers=workers)
        methods[name] = network_of(last, recipe)
    return methods


def network_of(checkpoint: Path, recipe: Recipe) -> Harmonizer:
    """The recipe's network with a checkpoint's averaged weights, to score. Raises BadCheckpoint."""
    network = build(recipe.model, **recipe.config)
    take_weights(network, averaged_weights(checkpoint)[0], str(checkpoint), recipe.model)
    return network.eval()


def table(ablation: Ablation, rows: list[PictureScores]) -> Table:
    """The paper's table beside ours: two lines for each of its rows. rows: scores by recipe names."""
    groups, metrics = _places(ablation, rows)
    by_group = by_ratio(rows) if ablation.groups == "ratio" else by_subset(rows)
    found = {(s.model, s.group): s for s in [*by_group, *summarise(rows)]}
    counts = {s.group: s.pictures for s in found.values()}
    columns = [
        Column(f"{group} ({counts.get(group, 0):,})", metric.label, metric.decimals, metric.better)
        for group in groups
        for metric in (METRICS[m] for m in metrics)
    ]
    lines = []
    for row in ablation.rows:
        printed = [row.figures.get(group, {}).get(m) for group in groups for m in metrics]
        if any(figure is not None for figure in printed):
            lines.append(Line(row.label, f"{PICTURES:,}", tuple(printed), ablation.source))
        of_row = [found.get((row.recipe or COMPOSITE, group)) for group in groups]
        ours = [None if s is None else float(getattr(s, m)) for s in of_row for m in metrics]
        lines.append(Line(row.label, f"{counts['all']:,}", tuple(ours)))
    note = (
        "In brackets: number of pictures measured here. Lines with a source are figures that the paper prints"
        f" for iHarmony4's {PICTURES:,} test pictures. Comparable only for the same pictures, protocol and"
        " length of training."
    )
    title = f"{ablation.name}: {ablation.about}; protocol {rows[0].protocol}"
    return Table(title, tuple(columns), tuple(lines), note)


def _places(ablation: Ablation, rows: list[PictureScores]) -> tuple[list[str], list[str]]:
    """The table's groups and metrics: those that the paper prints, and the subsets that were measured."""
    printed: dict[str, dict[str, Any]] = {g: f for row in ablation.rows for g, f in row.figures.items()}
    metrics = list(next(iter(printed.values()), {"psnr": 0, "mse": 0}))
    groups = [group for group in printed if group != "all"]
    measured = {row.subset for row in rows}
    if ablation.groups == "subset" and groups:
        groups += sorted(measured - set(groups))
    return [*groups, "all"], metrics
