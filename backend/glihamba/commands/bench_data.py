"""`glihamba bench data`: how fast training pictures are made, without any network."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

PICTURES = 32  # in a batch: enough that the cost of starting one does not show


def rows(
    runs: int, sizes: tuple[int, ...], threads: int, root: Path | None, cpu: str
) -> list[dict[str, Any]]:
    """The loader's samples for each second and for each CPU second, by size; medians of alternating runs.

    root: photographs; None takes 48 synthetic ones of 384 x 384 pixels.
    """
    import statistics

    if root is not None:
        figures = _measured(runs, sizes, threads, root)
    else:
        # Windows does not delete mapped files: the loaders are gone when the call has returned.
        with tempfile.TemporaryDirectory(prefix="glihamba-bench-", ignore_cleanup_errors=True) as folder:
            photographs, cache = Path(folder, "photographs"), Path(folder, "cache")
            _make_photographs(photographs)
            figures = _measured(runs, sizes, threads, photographs, cache)
    return [
        {
            "pictures": f"{size} x {size}",
            "threads": threads,
            "samples_a_second": round(statistics.median(rate for rate, _ in figures[size])),
            "samples_a_cpu_second": round(statistics.median(rate for _, rate in figures[size])),
            "device": cpu,
        }
        for size in sizes
    ]


def _measured(
    runs: int, sizes: tuple[int, ...], threads: int, root: Path, cache: Path | None = None
) -> dict[int, list[tuple[float, float]]]:
    """By size, the result of `_rate` in each run."""
    from glihamba.commands.training import training_module

    recipes, sources = training_module("run.recipe"), training_module("run.sources")
    loaders: dict[int, Any] = {}
    for size in sizes:
        recipe = recipes.load_recipe("glihamba-tiny", size=size, batch=PICTURES)
        source, _ = sources.open_source(root, recipe, cache=cache)
        loaders[size] = sources.Loader(source, recipe, threads=threads)
    figures: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for run in range(runs + 1):
        for size, loader in loaders.items():
            figure = _rate(iter(loader), max(8, 1024 // size) * threads)
            if run:  # the first compiles
                figures[size].append(figure)
    return figures


def _rate(batches: Any, count: int) -> tuple[float, float]:
    """Samples for each second and for each CPU second of this process, over the first `count` batches.

    The loader must have nothing ready; batches that it makes ahead and nobody takes count against it.
    """
    begun, worked = time.perf_counter(), time.process_time()
    samples = sum(len(next(batches).mask) for _ in range(count))
    rates = samples / (time.perf_counter() - begun), samples / (time.process_time() - worked)
    batches.close()
    return rates


def _make_photographs(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:384, 0:384] / 384
    for index in range(48):
        waves = np.sin(down[..., None] * rng.uniform(2, 30, 3) + across[..., None] * rng.uniform(2, 30, 3))
        grain = rng.normal(0, 8, (384, 384, 1))
        picture = (128 + 90 * waves + grain).clip(0, 255).astype(np.uint8)
        centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
        mask = (down - centre[0]) ** 2 + (across - centre[1]) ** 2 < radius**2
        Image.fromarray(picture).save(folder / f"{index}.jpg", quality=95)
        Image.fromarray((mask * 255).astype(np.uint8)).save(folder / f"{index}.mask0.png")
