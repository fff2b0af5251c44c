"""`glihamba bench data`: how fast training pictures are made, without any network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PICTURES = 32  # a batch: enough that what it costs to start one does not show


def rows(
    runs: int, sizes: tuple[int, ...], threads: int, root: Path | None, cpu: str
) -> list[dict[str, Any]]:
    """Samples a second of the loader at each size, and of a CPU second; medians of alternating runs.

    root: photographs; without, 48 made ones of 384 x 384 pixels stand in.
    """
    import statistics

    from glihamba.commands.training import training_module

    recipes, sources = training_module("recipe"), training_module("sources")
    with _photographs(root) as folder:
        loaders: dict[int, Any] = {}
        for size in sizes:
            recipe = recipes.load_recipe("glihamba-tiny", size=size, batch=PICTURES)
            source, _ = sources.open_source(folder, recipe)
            loaders[size] = sources.Loader(source, recipe, threads=threads)
        figures: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
        for run in range(runs + 1):
            for size, loader in loaders.items():
                figure = _rate(iter(loader), max(8, 1024 // size) * threads)
                if run:  # the first compiles
                    figures[size].append(figure)
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


def _rate(batches: Any, count: int) -> tuple[float, float]:
    """Samples a second and a second of this process's CPU time, over the first `count` batches.

    From a loader that has nothing ready: what it makes ahead and nobody takes counts against it.
    """
    begun, worked = time.perf_counter(), time.process_time()
    samples = sum(len(next(batches).mask) for _ in range(count))
    rates = samples / (time.perf_counter() - begun), samples / (time.process_time() - worked)
    batches.close()
    return rates


@contextmanager
def _photographs(root: Path | None) -> Iterator[Path]:
    if root is not None:
        yield root
        return
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:384, 0:384] / 384
    with tempfile.TemporaryDirectory(prefix="glihamba-bench-") as folder:
        for index in range(48):
            waves = np.sin(
                down[..., None] * rng.uniform(2, 30, 3) + across[..., None] * rng.uniform(2, 30, 3)
            )
            grain = rng.normal(0, 8, (384, 384, 1))
            picture = (128 + 90 * waves + grain).clip(0, 255).astype(np.uint8)
            centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
            mask = (down - centre[0]) ** 2 + (across - centre[1]) ** 2 < radius**2
            Image.fromarray(picture).save(Path(folder, f"{index}.jpg"), quality=95)
            Image.fromarray((mask * 255).astype(np.uint8)).save(Path(folder, f"{index}.mask0.png"))
        yield Path(folder)
