"""`glihamba bench`: medians of repeated runs, each with the machine it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glihamba.commands.common import json_option, print_json, print_table, serve_command

if TYPE_CHECKING:
    from glihamba_client.host import Capture, Harmonized

Results = list[dict[str, Any]]
runs_option = click.option(
    "--runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of each."
)
model_option = click.option("--model", default="", help="Model to measure.  [default: the default model]")


@click.group()
def bench() -> None:
    """Measure speed and memory on this machine. Times are medians; runs of several things alternate."""


@bench.command("model")
@click.argument("names", nargs=-1)
@runs_option
@json_option
def model_(names: tuple[str, ...], runs: int, as_json: bool) -> None:
    """Latency of models at their working size, parameters and FLOPs (two to a multiply-add).

    NAMES are networks with fresh weights (glihamba, hdnet, gknet, regional, frih, unet, ..., statistics) or
    registered models; without any, GLIHamba's sizes and statistics.
    """
    import torch

    from glihamba.models import GLIHAMBA_SIZES

    networks = {name: _network(name) for name in names or (*GLIHAMBA_SIZES, "statistics")}
    inputs = {}
    for name, network in networks.items():
        side = network.working_size
        mask = torch.zeros(1, 1, side, side)
        mask[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
        inputs[name] = torch.rand(1, 3, side, side), mask
    with torch.inference_mode():
        seconds = alternate({name: partial(networks[name], *inputs[name]) for name in networks}, runs)
    results: Results = [
        {
            "model": name,
            "working_size": network.working_size,
            "milliseconds": round(1000 * seconds[name], 2),
            "parameters": sum(p.numel() for p in network.parameters()),
            "gflops": round(_flops(network, inputs[name]) / 1e9, 3),
        }
        for name, network in networks.items()
    ]
    report(results, as_json)


@bench.command()
@click.option(
    "--megapixels", type=click.FloatRange(0.01, 150), multiple=True, default=(12.0, 50.0), show_default=True
)
@model_option
@runs_option
@json_option
def pipeline(megapixels: tuple[float, ...], model: str, runs: int, as_json: bool) -> None:
    """8-bit composites through a daemon of its own and back, with the daemon's peak memory."""
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
    report(results, as_json)


@bench.command()
@click.option("--megabytes", type=click.FloatRange(1, 1000), default=48.0, show_default=True)
@runs_option
@json_option
def transport(megabytes: float, runs: int, as_json: bool) -> None:
    """RGB pixels to the daemon and back: the time a job takes beside its computing.

    The mask, a third of the picture's size, goes up too.
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
@click.option("--side", type=click.IntRange(2, 128), multiple=True, default=(8, 16, 32), show_default=True)
@click.option("--channels", type=click.IntRange(1), default=64, show_default=True)
@click.option("--states", type=click.IntRange(1), default=16, show_default=True)
@runs_option
@json_option
def scan(side: tuple[int, ...], channels: int, states: int, runs: int, as_json: bool) -> None:
    """SS2D as it is dispatched, against the readable reference, on side x side tokens."""
    import torch

    from glihamba.ops.reference import ss2d_reference
    from glihamba.ops.ss2d import ss2d

    device = "cuda" if torch.cuda.is_available() else "cpu"
    results: Results = []
    for length in side:
        arguments = _scan_arguments(length, channels, states, device)
        with torch.inference_mode():
            difference = (ss2d(*arguments) - ss2d_reference(*arguments)).abs().max().item()
            seconds = alternate(
                {
                    "dispatched": partial(_waited, ss2d, arguments),
                    "reference": partial(_waited, ss2d_reference, arguments),
                },
                runs,
            )
        results.append(
            {
                "tokens": f"{length} x {length}",
                "device": device,
                "dispatched_ms": round(1000 * seconds["dispatched"], 2),
                "reference_ms": round(1000 * seconds["reference"], 2),
                "times_faster": round(seconds["reference"] / seconds["dispatched"], 1),
                "largest_difference": float(f"{difference:.1e}"),
            }
        )
    report(results, as_json)


def alternate(works: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each, run in turn so that the machine's moods meet all alike."""
    for work in works.values():
        work()  # compiles and warms up; not counted
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in times.items()}


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    from glihamba.daemon.runner import cpu_name

    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform(terse=True)}


def report(results: Results, as_json: bool) -> None:
    """Print the results and the machine."""
    if as_json:
        print_json({"machine": machine(), "results": results})
        return
    columns = [name if isinstance(value, str) else f">{name}" for name, value in results[0].items()]
    here = machine()
    rows = [
        [
            "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
            for value in row.values()
        ]
        for row in results
    ]
    print_table([column.replace("_", " ") for column in columns], rows)
    click.echo(f"{here['cpu']}, {here['cores']} cores, {here['system']}")


@contextmanager
def own_daemon() -> Iterator[Any]:
    """The service of a daemon that only this benchmark uses, so that its memory is this benchmark's."""
    from glihamba_client import endpoint
    from glihamba_client.service import DaemonService

    before = {name: os.environ.get(name) for name in ("GLIHAMBA_RUNTIME_DIR", "GLIHAMBA_LOG_DIR")}
    with tempfile.TemporaryDirectory(prefix="glihamba-bench-", ignore_cleanup_errors=True) as folder:
        os.environ.update(dict.fromkeys(before, folder))
        try:
            yield DaemonService(command=serve_command())
        finally:
            if found := endpoint.local():
                from glihamba.commands.daemon import end

                end(found)
            for name, value in before.items():
                os.environ.pop(name)
                os.environ.update({name: value} if value is not None else {})


def daemon_peak_mb() -> int | None:
    """Peak resident memory of the daemon in MB so far, where the system tells (Linux)."""
    from glihamba_client import endpoint

    found = endpoint.local()
    if found is None or sys.platform != "linux":
        return None
    lines = Path(f"/proc/{found.pid}/status").read_text("utf-8").splitlines()
    return next((int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM:")), None)


def timed(service: Any, picture: Capture, model: str) -> tuple[float, Harmonized]:
    """Seconds from here to the daemon and back, and the result."""
    begun = time.perf_counter()
    task = service.start(picture, model)
    try:
        while not task.wait(0.1):
            pass
        return time.perf_counter() - begun, task.result()
    finally:
        task.cancel()


def capture(megapixels: float) -> Capture:
    """A 3:2 scene of gradients and grain with a brighter ellipse of a tenth of its area, 8-bit RGB."""
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
    from glihamba.models import build, load

    try:
        return build(name).eval()
    except UnknownModel:
        return load(name)


def _flops(network: Any, inputs: Any) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())


def _waited(scan: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run and wait for the device to be done."""
    if scan(*arguments).is_cuda:
        import torch

        torch.cuda.synchronize()


def _scan_arguments(side: int, channels: int, states: int, device: str) -> tuple[Any, ...]:
    import torch

    torch.manual_seed(0)
    length, rank = side * side, max(1, channels // 16)
    shapes = (
        [(1, length, channels), (1, length, 4, rank), (4, channels, rank), (4, channels)]
        + [(1, length, 4, states)] * 2
        + [(4, channels, states), (4, channels)]
    )
    tensors = [torch.randn(shape, device=device) * 0.5 for shape in shapes]
    tensors[6] = -tensors[6].abs() - 0.1  # A is negative
    return (*tensors, side, side)
