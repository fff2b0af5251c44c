"""What a network costs, measured: parameters, multiply-adds, latency (as in Table 3 of Sun et al. 2024)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from glihamba.networks.base import Harmonizer
from glihamba.networks.vss import SelectiveScan
from glihamba.ops.layout import DIRECTIONS

SCAN_OPERATIONS = (
    9  # for each pixel, channel, state and direction, as Liu et al. 2024 (VMamba) count a selective scan
)


@dataclass(frozen=True)
class Cost:
    """The cost of one picture of side x side pixels.

    multiply_adds: of linear layers, convolutions and products of activations, without the scan's.
    scan: 9 L D N a direction for L pixels, D channels and N states, plus L D R for the step sizes of rank R.
    milliseconds: median of `runs` runs on `device` after one that is not counted.
    """

    model: str
    parameters: int
    multiply_adds: int
    scan: int
    milliseconds: float
    side: int
    runs: int
    device: str


def measure(networks: Mapping[str, Harmonizer], device: str, runs: int = 5) -> list[Cost]:
    """Each network at its working size; their runs alternate. device: the processor's name."""
    pictures = {name: _picture(network.working_size) for name, network in networks.items()}
    with torch.inference_mode():
        counts = {name: count(network, *pictures[name]) for name, network in networks.items()}
        times: dict[str, list[float]] = {name: [] for name in networks}
        for _ in range(runs):
            for name, network in networks.items():
                begun = time.perf_counter()
                network(*pictures[name])
                times[name].append(time.perf_counter() - begun)
    threads = torch.get_num_threads()
    where = f"{device}, {threads} thread" + ("s" if threads > 1 else "")
    return [
        Cost(
            name,
            sum(p.numel() for p in network.parameters()),
            *counts[name],
            milliseconds=1000 * statistics.median(times[name]),
            side=network.working_size,
            runs=runs,
            device=where,
        )
        for name, network in networks.items()
    ]


def count(network: Harmonizer, composite: torch.Tensor, mask: torch.Tensor) -> tuple[int, int]:
    """Multiply-adds of one call, and of its scans.

    torch's counter sees the scan only where it runs in plain torch, and then by the products it is made of:
    what it counted there is taken out again, so that the figures do not depend on the kernel.
    """
    scans = {name: module for name, module in network.named_modules() if isinstance(module, SelectiveScan)}
    scanned = 0

    def on_scan(module: SelectiveScan, inputs: tuple[torch.Tensor | None, ...]) -> None:
        nonlocal scanned
        for tokens in inputs:
            if tokens is not None:  # features (B,H,W,D), then the global tokens (B,T,D) that are read first
                each = SCAN_OPERATIONS * module.state_dimension + module.rank
                scanned += DIRECTIONS * tokens.numel() * each

    hooks = [module.register_forward_pre_hook(on_scan) for module in scans.values()]
    try:
        with FlopCounterMode(display=False) as counter:
            network(composite, mask)
    finally:
        for hook in hooks:
            hook.remove()
    by_module = {name: sum(each.values()) for name, each in counter.get_flop_counts().items()}
    root = type(network).__name__
    inside = sum(
        by_module.get(f"{root}.{name}", 0) - by_module.get(f"{root}.{name}.parameters_of", 0)
        for name in scans
    )
    return (counter.get_total_flops() - inside) // 2, scanned


def _picture(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a masked square of a sixteenth of its area."""
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return torch.rand(1, 3, side, side), mask
