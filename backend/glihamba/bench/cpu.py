"""The CPU's rows of `glihamba bench scan`: SS2D as dispatched, the naive scan and the best one in torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.bench import Row
from glihamba.ops import ss2d
from glihamba.ops.layout import DIRECTIONS, Scan, ScanInputs, scan_orders
from glihamba.ops.torch_scan import ss2d_torch

Shape = tuple[int, int, int]  # D, L (a square) and N; the rank of the step size is D / 16, as in the networks
SHAPES: tuple[Shape, ...] = ((192, 4096, 16), (192, 4096, 1), (384, 1024, 16), (96, 16384, 16))
PASSES = ("forward", "backward")


def scan_rows(
    runs: int,
    device: str,
    shapes: Sequence[Shape] = SHAPES,
    threads: Sequence[int] = (1,),
    passes: Sequence[str] = PASSES,
) -> Iterator[Row]:
    """One picture in float32; "backward" is the backward alone, of every tensor.

    All runs of one shape alternate (every thread count and pass, our scan and the others), so that a change
    of the machine's load meets all alike. The naive scan only runs forward: its backward keeps gigabytes.
    """
    scans: dict[str, Scan] = {"fused": ss2d, "torch": ss2d_torch, "naive": naive}
    for shape in shapes:
        inputs = scan_inputs(*shape)
        works: dict[Any, Callable[[], float]] = {
            (name, way, count): partial(_seconds, scan, inputs, way, count)
            for (name, scan), way, count in product(scans.items(), passes, threads)
            if name != "naive" or way == "forward"
        }
        seconds = _medians(works, runs)
        for way, count in product(passes, threads):
            fused = seconds["fused", way, count]
            faster = {
                n: round(seconds[n, way, count] / fused, 1) for n in scans if (n, way, count) in seconds
            }
            yield {
                "device": device,
                "batch": 1,
                **dict(zip(("D", "L", "N"), shape, strict=True)),
                "threads": count,
                "direction": way,
                "ms": round(1000 * fused, 3),
                "speedup_naive": faster.get("naive"),
                "speedup_torch": faster["torch"],
            }


def multiply_rate() -> float:
    """Floating-point operations a second of a large matrix product in float32 on PyTorch's threads.

    The best of ten: no other arithmetic of PyTorch is faster, so FLOPs by this rate are the least seconds.
    """
    side = 1024
    a, b = torch.randn(2, side, side)
    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begun)
    return float(2 * side**3 / min(seconds))


def _medians(works: dict[Any, Callable[[], float]], runs: int) -> dict[Any, float]:
    for work in works.values():
        work()  # compiles and warms up; not counted
    times: dict[Any, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            work()  # the run before has taken the caches; in a network a scan follows another
            times[name].append(work())
    return {name: statistics.median(each) for name, each in times.items()}


def _seconds(scan: Scan, inputs: ScanInputs, way: str, threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        if way == "forward":
            with torch.inference_mode():
                begun = time.perf_counter()
                scan(inputs)
                return time.perf_counter() - begun
        y = scan(inputs.map(lambda t: t.detach().requires_grad_()))
        upstream = torch.ones_like(y)
        begun = time.perf_counter()
        y.backward(upstream)
        return time.perf_counter() - begun
    finally:
        torch.set_num_threads(before)


def scan_inputs(D: int, L: int, N: int) -> ScanInputs:
    """One picture of L = side * side tokens in float32, parameters at Mamba's initialisation."""
    g = torch.Generator().manual_seed(0)
    side, rank = round(L**0.5), max(1, D // 16)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    x, low, B, C = (normal(1, L, *rest) for rest in ((D,), (4, rank), (4, N), (4, N)))
    step = torch.exp(torch.rand(4, D, generator=g) * 4.6 - 6.9)  # 0.001 to 0.1
    weight, bias = (torch.rand(4, D, rank, generator=g) * 2 - 1) * rank**-0.5, step.expm1().log()
    A = -torch.arange(1.0, N + 1).expand(4, D, N) * torch.exp(0.1 * normal(4, D, N))
    return ScanInputs(x, low, weight, bias, B, C, A, 1 + 0.1 * normal(4, D), side, side)


def naive(inputs: ScanInputs) -> Tensor:
    """The reference that mamba-ssm ships, `selective_scan_ref`, between a cross-scan and a cross-merge.

    Every direction's tensors are laid out channels first and all decays and inputs are made at once, before a
    loop over the steps. The initial state is zero.
    """
    x, low, weight, bias, B, C, A, D, height, width, _ = inputs
    orders, inverse = scan_orders(height, width, x.device)

    def crossed(t: Tensor) -> Tensor:  # (B, L, K, n) -> (B, K, n, L)
        return torch.stack([t[:, orders[k], k].transpose(1, 2) for k in range(DIRECTIONS)], 1)

    u = crossed(x[:, :, None].expand(-1, -1, DIRECTIONS, -1))
    dt = crossed(torch.einsum("blkr,kdr->blkd", low, weight))
    dt = F.softplus(dt + bias[..., None])
    B, C = crossed(B), crossed(C)
    decays = torch.exp(torch.einsum("bkdl,kdn->bkdln", dt, A))
    driven = torch.einsum("bkdl,bknl,bkdl->bkdln", dt, B, u)
    h, outputs = torch.zeros_like(driven[:, :, :, 0]), []
    for step in range(u.shape[-1]):
        h = decays[:, :, :, step] * h + driven[:, :, :, step]
        outputs.append(torch.einsum("bkdn,bkn->bkd", h, C[..., step]))
    y = torch.stack(outputs, -1) + u * D[..., None]
    return (
        torch.stack([y[:, k, :, inverse[k]] for k in range(DIRECTIONS)]).sum(0).transpose(1, 2).contiguous()
    )
