"""`glihamba bench`: measure medians of repeated runs, and name the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from glihamba.commands.bench_daemon import daemon_peak_mb, own_daemon
from glihamba.commands.common import json_option, print_json, print_table

if TYPE_CHECKING:
    from glihamba_client.host import Capture, Harmonized

Results = list[dict[str, Any]]
Name = TypeVar("Name")
runs_option = click.option(
    "--runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of each measurement."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    multiple=True,
    default=tuple(dict.fromkeys((1, min(2, os.cpu_count() or 1)))),
    show_default=True,
    help="Threads on the CPU.",
)
photographs_option = click.option(
    "--data",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Photographs.  [default: synthetic ones]",
)
model_option = click.option("--model", default="", help="Model to measure.  [default: the default model]")


@click.group()
def bench() -> None:
    """Measure speed and memory on this machine. Times are medians of alternating runs."""


@bench.command("model")
@click.argument("names", nargs=-1)
@click.option("--side", type=click.IntRange(16, 1024), help="Pixels a side.  [default: each model's own]")
@threads_option
@runs_option
@json_option
def model_(
    names: tuple[str, ...], side: int | None, threads: tuple[int, ...], runs: int, as_json: bool
) -> None:
    """Measure models: the latency of one picture on the CPU, the parameters and the FLOPs.

    A multiply-add counts as two FLOPs. The floor is what the FLOPs of matrix products and convolutions, not
    the scan's, would take at the rate of a large product in float32. NAMES are networks with fresh weights
    (glihamba, hdnet, gknet, regional, frih, unet, ..., statistics) or registered models. Without NAMES, all
    sizes of GLIHamba and statistics are measured.
    """
    import torch

    from glihamba.bench import cpu, gpu
    from glihamba.networks import names as network_names

    networks = {name: _network(name) for name in names or (*network_names("glihamba"), "statistics")}
    inputs = {name: _picture(side or network.working_size) for name, network in networks.items()}

    def run(name: str, count: int) -> None:
        torch.set_num_threads(count)
        networks[name](*inputs[name])

    before = torch.get_num_threads()
    rates = {}
    with torch.inference_mode():
        works = {(name, count): partial(run, name, count) for name in networks for count in threads}
        seconds = alternate(works, runs)
        for count in threads:
            torch.set_num_threads(count)
            rates[count] = cpu.multiply_rate()
    torch.set_num_threads(before)
    flops = {name: _flops(networks[name], inputs[name]) for name in networks}
    floors = {(name, count): flops[name] / rates[count] for name, count in works}
    results: Results = [
        {
            "model": name,
            "device": machine()["cpu"],
            "working_size": inputs[name][0].shape[-1],
            "threads": count,
            "milliseconds": round(1000 * seconds[name, count], 2),
            "floor_milliseconds": round(1000 * floors[name, count], 2),
            "times_floor": round(seconds[name, count] / floors[name, count], 1) if flops[name] else None,
            "parameters": sum(p.numel() for p in networks[name].parameters()),
            "gflops": round(flops[name] / 1e9, 3),
        }
        for name, count in works
    ]
    report([*results, *gpu.model_rows(list(networks), _network, runs)], as_json)


@bench.command()
@click.option(
    "--megapixels", type=click.FloatRange(0.01, 150), multiple=True, default=(12.0, 50.0), show_default=True
)
@model_option
@runs_option
@json_option
def pipeline(megapixels: tuple[float, ...], model: str, runs: int, as_json: bool) -> None:
    """Measure 8-bit composites on their way to a daemon of their own and back, and its peak memory.

    Other methods' figures follow. They were measured on another machine.
    """
    results: Results = []
    with own_daemon() as service:
        harmonized = timed(service, capture(0.1), model)[1]  # loads the model
        for size in sorted(megapixels):
            picture = capture(size)
            times, inside = [], []
            for _ in range(runs):
                seconds, harmonized = timed(service, picture, model)
                times.append(seconds)
                inside.append(harmonized.seconds_computed)
            results.append(
                {
                    "megapixels": size,
                    "model": harmonized.model,
                    "device": harmonized.device,
                    "seconds": round(statistics.median(times), 2),
                    "seconds_computed": round(statistics.median(inside), 2),
                    "daemon_peak_mb": daemon_peak_mb(),
                }
            )
    report(results, as_json, beside_peers=True)


@bench.command()
@click.option("--megabytes", type=click.FloatRange(1, 1000), default=48.0, show_default=True)
@runs_option
@json_option
def transport(megabytes: float, runs: int, as_json: bool) -> None:
    """Measure how fast RGB pixels travel to the daemon and back: a job's time without its computation.

    The mask, a third of the picture's size, is sent too.
    """
    picture = capture(megabytes / 3)
    size = picture.composite.byte_count / 1e6
    with own_daemon() as service:
        timed(service, capture(0.1), "statistics")
        beside = []
        for _ in range(runs):
            seconds, harmonized = timed(service, picture, "statistics")
            beside.append(seconds - harmonized.seconds_computed - harmonized.seconds_queued)
    seconds = statistics.median(beside)
    moved = 2 * size + picture.mask.byte_count / 1e6
    report(
        [
            {
                "megabytes_each_way": round(size, 1),
                "seconds": round(seconds, 3),
                "megabytes_a_second": round(moved / seconds),
            }
        ],
        as_json,
    )


@bench.command()
@click.option(
    "--shape",
    "shapes",
    type=(click.IntRange(1), click.IntRange(1), click.IntRange(1)),
    multiple=True,
    metavar="D L N",
    help="Channels, pixels (a square number) and states.  [default: four of the paper's sizes]",
)
@threads_option
@click.option(
    "--direction",
    "directions",
    type=click.Choice(["forward", "backward"]),
    multiple=True,
    help="[default: both]",
)
@runs_option
@json_option
def scan(
    shapes: tuple[tuple[int, int, int], ...],
    threads: tuple[int, ...],
    directions: tuple[str, ...],
    runs: int,
    as_json: bool,
) -> None:
    """Compare SS2D, as dispatched, with mamba-ssm's reference scan and the best scan in torch.

    The CPU scans one picture in float32. A graphics card, if there is one, scans its own cases in bfloat16.
    """
    for _, length, _ in shapes:
        if (side := round(length**0.5)) ** 2 != length:
            raise click.BadParameter(f"{length} is not a square number; try {side**2}.")
    from glihamba.bench import cpu, gpu

    results = [
        *cpu.scan_rows(runs, machine()["cpu"], shapes or cpu.SHAPES, threads, directions or cpu.PASSES),
        *gpu.scan_rows(runs),
    ]
    report(results, as_json)


@bench.command("data")
@photographs_option
@click.option(
    "--size", "sizes", type=click.IntRange(8, 1024), multiple=True, default=(32, 64, 256), show_default=True
)
@click.option("--threads", type=click.IntRange(1, 256), default=2, show_default=True, help="Loader threads.")
@runs_option
@json_option
def data_(root: Path | None, sizes: tuple[int, ...], threads: int, runs: int, as_json: bool) -> None:
    """Measure how fast the loader makes composites for training, in samples a second."""
    from glihamba.commands import bench_data

    report(bench_data.rows(runs, sizes, threads, root, machine()["cpu"]), as_json)


@bench.command()
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Starts of each editor.")
@json_option
def editors(runs: int, as_json: bool) -> None:
    """Measure what a person waits for in the real Krita and GIMP: seconds, medians of several starts.

    It needs a checkout of the project with its test environment, Krita, GIMP and Xvfb.
    """
    from glihamba.commands import bench_editors

    report(bench_editors.rows(runs), as_json)


@bench.command("train")
@click.argument("recipes", nargs=-1)
@click.option("--size", type=click.IntRange(8, 1024), help="Pixels a side.  [default: the recipe's]")
@click.option("--batch", type=click.IntRange(2), help="Composites in a step.  [default: the recipe's]")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads.")
@photographs_option
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of earlier measurements to compare with.  [default: the checkout's benchmarks]",
)
@runs_option
@json_option
def train_(
    recipes: tuple[str, ...],
    size: int | None,
    batch: int | None,
    threads: int,
    root: Path | None,
    before: Path | None,
    runs: int,
    as_json: bool,
) -> None:
    """Measure training on the CPU: composites a second, and the milliseconds of each stage of a step.

    RECIPES are names or .toml files; without them it is glihamba-tiny-fine. The floor is what the network's
    matrix products and convolutions would take at the rate of a large product in float32. Where an earlier
    measurement on the same processor is found, the last column is the ratio to it.
    """
    from glihamba.commands import bench_train

    settings, chosen = {"size": size, "batch": batch}, recipes or ("glihamba-tiny-fine",)
    measured = bench_train.rows(chosen, settings, runs, threads, root, machine()["cpu"])
    folder = before or Path(__file__).parents[3] / "benchmarks"
    report(bench_train.compare(measured, bench_train.latest(folder)), as_json)


def alternate(works: Mapping[Name, Callable[[], object]], runs: int) -> dict[Name, float]:
    """Return the median seconds of each work.

    The works run in turn, so that other load on the machine slows all of them alike.
    """
    for work in works.values():
        work()  # compiles and warms up, and is not counted
    times: dict[Name, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in times.items()}


def machine() -> dict[str, Any]:
    """Return the machine that the figures hold for."""
    from glihamba.engine.device import cpu_name

    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform(terse=True)}


def report(results: Results, as_json: bool, beside_peers: bool = False) -> None:
    """Print the results and the machine. beside_peers: then other methods' figures and their machine."""
    from glihamba.bench.peers import peers, worded

    others = peers() if beside_peers else {}
    if as_json:
        print_json({"machine": machine(), "results": results, **({"peers": others} if others else {})})
        return
    here = machine()
    _print_rows(results, f"{here['cpu']}, {here['cores']} cores, {here['system']}")
    if others:
        click.echo()
        where = f"{others['conditions']}; measured on another machine: {others['machine']}"
        _print_rows([worded(row) for row in others["results"]], where)


def _print_rows(results: Results, where: str) -> None:
    names = list(dict.fromkeys(name for row in results for name in row))
    columns = [n if any(isinstance(row.get(n), str) for row in results) else f">{n}" for n in names]

    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    rows = [[shown(row.get(name)) for name in names] for row in results]
    print_table([column.replace("_", " ") for column in columns], rows)
    click.echo(where)


def timed(service: Any, picture: Capture, model: str) -> tuple[float, Harmonized]:
    """Return the seconds from the start of a job to its result, and the result."""
    from glihamba_client.host import Choice

    begun = time.perf_counter()
    task = service.start(picture, Choice(model))
    try:
        while not task.wait(0.1):
            pass
        return time.perf_counter() - begun, task.result()
    finally:
        task.cancel()


def capture(megapixels: float) -> Capture:
    """Return a 3:2 scene in 8-bit RGB: gradients and grain, and a brighter ellipse on a tenth of its area."""
    import numpy as np

    from glihamba.file_host import plane
    from glihamba_client.host import Capture

    width = max(8, round((megapixels * 1.5e6) ** 0.5))
    height = max(8, round(megapixels * 1e6 / width))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    mask = (((down - 0.55) / 0.2) ** 2 + ((across - 0.45) / 0.16) ** 2 < 1).astype(np.uint8) * 255
    grain = np.random.default_rng(0).integers(0, 12, (height, width), np.uint8)
    channels = [
        (40 + 100 * (weight * down + (1 - weight) * across)).astype(np.uint8) for weight in (0.2, 0.5, 0.8)
    ]
    pixels = np.stack([channel + grain + (mask >> 2) for channel in channels], axis=2)
    return Capture(plane(pixels, "srgb"), plane(mask[:, :, None], "srgb"))


def _network(name: str) -> Any:
    from glihamba.errors import UnknownModel
    from glihamba.models import load
    from glihamba.networks import build

    try:
        return build(name).eval()
    except UnknownModel:
        return load(name)


def _picture(side: int) -> tuple[Any, Any]:
    import torch

    mask = torch.zeros(1, 1, side, side)
    mask[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    return torch.rand(1, 3, side, side), mask


def _flops(network: Any, inputs: Any) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())
