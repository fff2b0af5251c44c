"""`glihamba bench data`: measure how fast training pictures are made. No network runs."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

PICTURES = 32  # in a batch; enough to make the cost of starting a batch negligible


def rows(
    runs: int, sizes: tuple[int, ...], threads: int, root: Path | None, cpu: str
) -> list[dict[str, Any]]:
    """Return the loader's samples a second and samples a CPU second for each size.

    The figures are medians of `runs` alternating runs. sizes: pixels a side. root: a folder of photographs;
    None uses 48 synthetic ones of 384 x 384 pixels. cpu: the processor's name for the rows.
    """
    import statistics

    if root is not None:
        figures = _measured(runs, sizes, threads, root)
    else:
        # Windows does not delete mapped files, so the loaders live only inside the call of _measured.
        with tempfile.TemporaryDirectory(prefix="glihamba-bench-", ignore_cleanup_errors=True) as folder:
            photographs, cache = Path(folder, "photographs"), Path(folder, "cache")
            make_photographs(photographs)
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
    """Return the results of `_rate` in all runs, by size."""
    from glihamba.commands.training import training_module

    recipes, sources = training_module("run.recipe_files"), training_module("run.sources")
    loaders: dict[int, Any] = {}
    for size in sizes:
        recipe = recipes.load_recipe("glihamba-tiny", size=size, batch=PICTURES)
        source, _ = sources.open_source(root, recipe, cache=cache)
        loaders[size] = sources.Loader(source, recipe, threads=threads)
    figures: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for run in range(runs + 1):
        for size, loader in loaders.items():
            figure = _rate(iter(loader), max(8, 1024 // size) * threads)
            if run:  # the first run compiles
                figures[size].append(figure)
    return figures


def _rate(batches: Any, count: int) -> tuple[float, float]:
    """Samples for each second and for each CPU second of this process, over the first `count` batches.

    The loader must not have batches ready at the start. Batches that it makes ahead and nobody takes cost it
    time that counts.
    """
    begun, worked = time.perf_counter(), time.process_time()
    samples = sum(len(next(batches).mask) for _ in range(count))
    rates = samples / (time.perf_counter() - begun), samples / (time.process_time() - worked)
    batches.close()
    return rates


def make_photographs(folder: Path) -> None:
    """Write 48 synthetic photographs of 384 x 384 pixels, each with a disc as its object."""
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
