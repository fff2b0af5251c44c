"""Which kernel and which tiles for a shape: a handful of plans, timed once and remembered on disk.

The file lies in Triton's own cache folder, beside the compiled kernels: emptying the folder removes both.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import triton
from torch import Tensor

from glihamba_proto import documents
from glihamba_proto.files import replacing

WARPS_WANTED = 12  # on each multiprocessor, so that some compute while others wait for memory
RUNS = 5


@dataclass(frozen=True)
class Plan:
    """`steps` of a chunk and `channels` of a program of `warps` warps, read step by step or in tiles."""

    kernel: str  # "sequential" | "tiles"
    steps: int
    channels: int
    warps: int = 1
    tile: int = 16  # steps of one, of which a chunk has whole ones


# (channels, warps) whose tiles fit the registers: the tests hold every one of them to that.
TILES = ((32, 1), (64, 2))
BACKWARD_PLANS = tuple(Plan("tiles", 16, *shape) for shape in TILES)


def forward_plans(x: Tensor) -> list[Plan]:
    """The likeliest first. One chunk takes one pass only, but a small batch leaves the device idle."""
    batch, length, channels = x.shape
    programs = 2 * batch * triton.cdiv(channels, 32)
    chunks = triton.cdiv(_multiprocessors(x) * WARPS_WANTED, programs)
    whole, steps = (16 * triton.cdiv(triton.cdiv(length, chunks_), 16) for chunks_ in (1, chunks))
    shapes = (*((steps, *shape) for shape in TILES), (whole, 32))
    tiles = [Plan("tiles", *shape) for shape in shapes]
    return list(dict.fromkeys([*tiles, Plan("sequential", steps, 32), Plan("sequential", whole, 32)]))


def choose(work: str, x: Tensor, states: int, plans: Sequence[Plan], run: Callable[[Plan], object]) -> Plan:
    """The fastest of the plans for this work on this device, for x's shape.

    Without a GPU (the interpreter), and while a CUDA graph is recorded, the first.
    """
    if not x.is_cuda:
        return plans[0]
    key = _key(work, x, states)
    best = _known().get(key)
    if best is None or best not in plans:
        if torch.cuda.is_current_stream_capturing():
            return plans[0]
        best = min(plans, key=lambda plan: _milliseconds(run, plan))
        _remember(key, best)
    return best


def _key(work: str, x: Tensor, states: int) -> str:
    """All that the plans and their times depend on, x's exact sizes with it."""
    sizes = "x".join(map(str, x.shape))
    device = torch.cuda.get_device_name(x.device) if x.is_cuda else "no GPU"
    return f"{work} {x.dtype} {sizes} N{states} {device} triton {triton.__version__}"


def _multiprocessors(x: Tensor) -> int:
    return torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1


def _milliseconds(run: Callable[[Plan], object], plan: Plan) -> float:
    run(plan)  # compiles
    times = []
    for _ in range(RUNS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run(plan)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


_plans: dict[str, Plan] = {}
_lock = threading.Lock()
_read = False


def _file() -> Path:
    return Path(triton.knobs.cache.dir) / "glihamba-ss2d-plans.json"


def _known() -> dict[str, Plan]:
    """What was timed in this process or before; a file that cannot be read is timed again."""
    global _read
    with _lock:
        if not _read:
            _read = True
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                _plans.update({key: Plan(**plan) for key, plan in documents.read(_file()).items()})
        return _plans


def _remember(key: str, plan: Plan) -> None:
    with _lock:
        _plans[key] = plan
        written = json.dumps({key: vars(plan) for key, plan in _plans.items()}, indent=1)
    with contextlib.suppress(OSError):  # a folder that cannot be written costs the timing, not the picture
        _file().parent.mkdir(parents=True, exist_ok=True)
        with replacing(_file()) as part:
            part.write_text(written)
