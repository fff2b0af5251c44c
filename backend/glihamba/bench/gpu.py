"""The GPU's rows of `glihamba bench scan` and `bench model`: CUDA events, medians of alternating runs.

The scan is set against the naive reference, the torch scan and, where it is installed and works, mamba-ssm's
compiled scan behind an unfused cross-scan and merge, all on the same tensors. A row states what the scan
reaches of two ceilings measured in the same minute: copying within the device's memory, and exponentials.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from glihamba.bench import Row
from glihamba.ops.layout import DIRECTIONS, Scan, ScanInputs

WARM_UP = 3
SLOW = 0.05  # seconds; work that takes longer is run three times only


class Case(NamedTuple):
    """bfloat16 features of side x side tokens."""

    batch: int
    channels: int
    side: int
    states: int
    rank: int = 6

    @property
    def length(self) -> int:
        return self.side**2

    @property
    def exponentials(self) -> int:
        """One for each state, channel, direction and step: the least a forward scan can do."""
        return self.batch * self.length * DIRECTIONS * self.channels * self.states

    @property
    def forward_bytes(self) -> int:
        """Each input read once, the output written once, 2 bytes a value; parameters are next to nothing."""
        selected = DIRECTIONS * (self.rank + 2 * self.states)
        return 2 * self.batch * self.length * (2 * self.channels + selected)

    @property
    def backward_bytes(self) -> int:
        """The inputs and dy read, the gradients of the inputs written."""
        selected = DIRECTIONS * (self.rank + 2 * self.states)
        return 2 * self.batch * self.length * (3 * self.channels + 2 * selected)

    def inputs(self, device: str = "cuda") -> ScanInputs:
        """As a model has them: low, B and C are views of one tensor; without h0."""
        torch.manual_seed(0)
        R, N, D = self.rank, self.states, self.channels
        features: Any = {"device": device, "dtype": torch.bfloat16}
        low, B, C = torch.randn(self.batch, self.length, DIRECTIONS, R + 2 * N, **features).split(
            (R, N, N), dim=-1
        )
        return ScanInputs(
            torch.randn(self.batch, self.length, D, **features),
            low,
            torch.randn(DIRECTIONS, D, R, device=device) * R**-0.5,
            torch.rand(DIRECTIONS, D, device=device) * 4.6
            - 6.9,  # steps between 0.001 and 0.1, as at initialisation
            B,
            C,
            -torch.arange(1, N + 1, device=device, dtype=torch.float32).repeat(DIRECTIONS, D, 1),
            torch.ones(DIRECTIONS, D, device=device),
            self.side,
            self.side,
        )


CASES = (Case(32, 192, 64, 16), Case(32, 192, 64, 1), Case(1, 192, 64, 16), Case(1, 192, 64, 1))


def scan_rows(runs: int, cases: tuple[Case, ...] = CASES) -> Iterator[Row]:
    """Rows of `bench scan`, none without a GPU. "graph" rows replay CUDA graphs, without launch costs."""
    if not torch.cuda.is_available():
        return
    bandwidth, rate = copy_bandwidth(), exponential_rate()
    for case in cases:
        inputs = case.inputs()
        ways = _ways()
        with torch.inference_mode():
            forward = {name: _bound(scan, inputs) for name, scan in ways.items()}
            ms = alternate(forward, runs)
            yield _row(case, "forward", ms, case.forward_bytes / bandwidth, case.exponentials / rate)
            loopless = {name: _graphed(work) for name, work in forward.items() if name in ("fused", "mamba")}
            yield _row(
                case,
                "forward, graph",
                alternate(loopless, runs),
                case.forward_bytes / bandwidth,
                case.exponentials / rate,
            )
        # The torch scan keeps every state for its backward: tens of gigabytes at a large batch.
        steps = {
            name: _training_step(scan, inputs)
            for name, scan in ways.items()
            if name in ("fused", "mamba") or (name == "torch" and case.batch == 1)
        }
        least = (case.forward_bytes + case.backward_bytes) / bandwidth
        yield _row(case, "forward + backward", alternate(steps, runs), least, 2 * case.exponentials / rate)
        gc.collect()
        torch.cuda.empty_cache()


def model_rows(names: list[str], network_of: Callable[[str], Any], runs: int) -> Iterator[Row]:
    """Rows of `bench model`: batch 1 at the working size in bfloat16, launched and as a CUDA graph."""
    if not torch.cuda.is_available():
        return
    for name in names:
        network = network_of(name).to("cuda", torch.bfloat16)
        side = network.working_size
        composite = torch.rand(1, 3, side, side, device="cuda", dtype=torch.bfloat16)
        mask = torch.zeros(1, 1, side, side, device="cuda", dtype=torch.bfloat16)
        mask[:, :, side // 4 : side // 2, side // 4 : side // 2] = 1
        with torch.inference_mode():

            def work(network: Any = network, inputs: tuple[Tensor, ...] = (composite, mask)) -> Tensor:
                return network(*inputs)

            works: dict[str, Callable[[], object]] = {"launched": work}
            with contextlib.suppress(RuntimeError):  # a network that waits for the device cannot be recorded
                works["graph"] = _graphed(work)
            ms = alternate(works, runs)
        yield {
            "model": name,
            "device": torch.cuda.get_device_name(),
            "working_size": side,
            "milliseconds": round(ms["launched"], 3),
            "graph_milliseconds": round(ms["graph"], 3) if "graph" in ms else None,
            "parameters": sum(p.numel() for p in network.parameters()),
        }


def alternate(works: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median milliseconds of each by CUDA events, run in turn so that the clock affects all alike."""
    slow = set()
    for name, work in works.items():
        for _ in range(WARM_UP):  # compiles and tunes; not counted
            work()
        if _milliseconds(work) > 1000 * SLOW:
            slow.add(name)
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(max(runs, 3)):
        for name, work in works.items():
            if run < 3 or name not in slow:
                times[name].append(_milliseconds(work))
    return {name: statistics.median(each) for name, each in times.items()}


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy within the device's memory."""
    free, _ = torch.cuda.mem_get_info()
    source = torch.empty(min(1 << 32, free // 4), dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    ms = alternate({"copy": lambda: target.copy_(source)}, 10)["copy"]
    return 2 * source.numel() / ms * 1000


def exponential_rate() -> float:
    """Exponentials a second of the whole device."""
    from glihamba.ops.triton.kernels import exponentials

    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    programs, values, rounds = 32 * device.multi_processor_count, 2048, 2000
    out = torch.empty(programs * values, device="cuda")

    def work() -> None:
        exponentials[(programs,)](out, rounds, VALUES=values, num_warps=4)

    return programs * values * rounds / alternate({"exponentials": work}, 10)["exponentials"] * 1000


def _ways() -> dict[str, Scan]:
    from glihamba.ops import mamba, ss2d
    from glihamba.ops.reference import ss2d_reference
    from glihamba.ops.selftest import ScanUnusable
    from glihamba.ops.torch_scan import ss2d_torch

    def reference(inputs: ScanInputs) -> Tensor:
        return ss2d_reference(inputs.map(Tensor.float)).to(inputs.x.dtype)

    ways: dict[str, Scan] = {"fused": ss2d, "torch": ss2d_torch, "naive": reference}
    try:
        mamba.require()
        ways["mamba"] = mamba.ss2d_mamba
    except ScanUnusable:
        pass  # its columns stay empty
    return ways


def _row(case: Case, direction: str, ms: Mapping[str, float], memory: float, exponentials: float) -> Row:
    """`memory` and `exponentials`: the least seconds each would take alone."""
    fused = ms["fused"]

    def faster(than: str) -> float | None:
        return round(ms[than] / fused, 2) if than in ms else None

    return {
        "device": torch.cuda.get_device_name(),
        "batch": case.batch,
        "D": case.channels,
        "L": case.length,
        "N": case.states,
        "direction": direction,
        "ms": round(fused, 4),
        "speedup_naive": faster("naive"),
        "speedup_torch": faster("torch"),
        "speedup_mamba": faster("mamba"),
        "bandwidth_percent": round(100 * memory * 1000 / fused, 1),
        "exponentials_percent": round(100 * exponentials * 1000 / fused, 1),
    }


def _bound(scan: Scan, inputs: ScanInputs) -> Callable[[], Tensor]:
    return lambda: scan(inputs)


def _training_step(scan: Scan, inputs: ScanInputs) -> Callable[[], object]:
    leaves = inputs.map(lambda t: t.detach().requires_grad_())
    upstream = torch.randn_like(inputs.x)
    return lambda: torch.autograd.grad(scan(leaves), leaves.tensors, upstream)


def _graphed(work: Callable[[], object]) -> Callable[[], None]:
    """The work as a CUDA graph, warmed up on a side stream as capturing wants it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def _milliseconds(work: Callable[[], object]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)
