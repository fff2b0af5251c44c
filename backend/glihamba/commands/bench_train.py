"""`glihamba bench train`: how many composites a second a recipe trains on, and where the time goes."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glihamba.bench import Row
from glihamba.bench.cpu import multiply_rate
from glihamba.commands.bench_data import make_photographs

STAGES = ("batch", "forward", "backward", "optimiser")
WARM_UP = 2  # steps that are not counted: kernels are compiled, and half of a first batch may be missing
_KEYS = ("recipe", "size", "batch", "threads", "device")  # what rows to compare have in common


def rows(
    recipes: tuple[str, ...], settings: dict[str, Any], runs: int, threads: int, root: Path | None, cpu: str
) -> list[Row]:
    """Return one row for each recipe: medians of `runs` steps, which alternate between the recipes.

    recipes: names or .toml files. settings: values instead of theirs. threads: of PyTorch. root: a folder of
    photographs; None uses 48 synthetic ones of 384 x 384 pixels. cpu: the processor's name for the rows.
    """
    import torch

    from glihamba.commands.training import training_module

    load_recipe = training_module("run.recipe_files").load_recipe
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory(prefix="glihamba-bench-", ignore_cleanup_errors=True) as folder:
            cache = None
            if root is None:
                root, cache = Path(folder, "photographs"), Path(folder, "cache")
                make_photographs(root)
            trainings = {name: _Training(load_recipe(name, **settings), root, cache) for name in recipes}
            return list(_measured(trainings, runs, threads, cpu))
    finally:
        torch.set_num_threads(before)


def _measured(trainings: dict[str, _Training], runs: int, threads: int, cpu: str) -> Iterator[Row]:
    times: dict[str, list[dict[str, float]]] = {name: [] for name in trainings}
    for run in range(WARM_UP + runs):
        for name, training in trainings.items():
            seconds = training.step()
            if run >= WARM_UP:
                times[name].append(seconds)
    rate = multiply_rate()
    for name, training in trainings.items():
        median = {stage: statistics.median(each[stage] for each in times[name]) for stage in STAGES}
        step = sum(median.values())
        floor = training.flops() / rate
        yield {
            "recipe": name,
            "size": training.recipe.size,
            "batch": training.recipe.batch,
            "threads": threads,
            "composites_a_second": round(training.recipe.batch / step, 1),
            **{f"{stage}_ms": round(1000 * median[stage], 1) for stage in STAGES},
            "floor_ms": round(1000 * floor, 1),
            "times_floor": round(step / floor, 1),
            "device": cpu,
        }


class _Training:
    """A recipe's steps, as Lightning takes them, without its records and averages."""

    def __init__(self, recipe: Any, root: Path, cache: Path | None) -> None:
        from glihamba.commands.training import training_module

        train, sources, processor = (
            training_module(f"run.{name}") for name in ("train", "sources", "processor")
        )
        processor.keep_freed_memory()
        processor.multiply_by_onednn()
        self.recipe = recipe
        self.task = train.HarmonizationTask(recipe, {}).train()
        self.optimiser = self.task.configure_optimizers()["optimizer"]
        source, _ = sources.open_source(root, recipe, cache=cache)
        self.batches = iter(sources.Loader(source, recipe))
        self.bfloat16 = processor.precision_here(recipe.precision) == "bf16"

    def step(self) -> dict[str, float]:
        """One step; returns each stage's seconds."""
        seconds: dict[str, float] = {}
        batch = _timed(seconds, "batch", lambda: next(self.batches))
        loss = _timed(seconds, "forward", lambda: self._loss(batch))
        _timed(seconds, "backward", loss.backward)
        _timed(seconds, "optimiser", self._move)
        return seconds

    def _loss(self, batch: Any) -> Any:
        import torch

        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            return self.task.step_loss(batch)[0]

    def _move(self) -> None:
        import torch

        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.task.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def flops(self) -> int:
        """Floating-point operations of a step's matrix products and convolutions, forward and backward."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self._loss(next(self.batches)).backward()
        self.optimiser.zero_grad()
        return int(counter.get_total_flops())


def _timed(seconds: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    done = work()
    seconds[stage] = time.perf_counter() - begun
    return done


def compare(measured: list[Row], earlier: list[Row]) -> list[Row]:
    """The rows with `against_before`: their composites a second by those of the same row in `earlier`."""
    found = {tuple(row.get(key) for key in _KEYS): row["composites_a_second"] for row in earlier}
    compared = []
    for row in measured:
        before = found.get(tuple(row.get(key) for key in _KEYS))
        compared.append({**row, "against_before": before and round(row["composites_a_second"] / before, 2)})
    return compared


def latest(folder: Path) -> list[Row]:
    """The rows of `glihamba bench train` in the newest file of `folder` that has any; none without one."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        for measurement in json.loads(path.read_text("utf-8")).get("measurements", []):
            if measurement["command"].startswith("glihamba bench train"):
                rows: list[Row] = measurement["results"]
                return rows
    return []
