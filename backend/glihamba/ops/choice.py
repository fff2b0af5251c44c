"""Which scan a tensor gets: by its device and dtype, never by what happens to be installed.

Devices without a fused kernel, and float64, get the pure-torch scan.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from glihamba.ops.layout import Scan
from glihamba.ops.torch_scan import final_state_torch, ss2d_torch

FinalState = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
_log = logging.getLogger(__name__)


def scan_for(x: Tensor) -> Scan:
    """The scan for features such as x."""
    if x.dtype == torch.float64:
        return ss2d_torch
    if x.device.type == "cpu":
        return on_the_cpu()[0]
    from glihamba.ops import gpu

    return gpu.scan(x.device)


def final_state_for(x: Tensor) -> FinalState:
    """The function that finds the final state of tokens such as x."""
    fused = x.device.type == "cpu" and x.dtype != torch.float64 and not torch.compiler.is_compiling()
    return on_the_cpu()[1] if fused else final_state_torch


@cache
def on_the_cpu() -> tuple[Scan, FinalState]:
    """`ss2d` and `final_state` on the CPU: numba's kernels, or torch where numba is missing."""
    try:
        from glihamba.ops.cpu.scan import final_state_cpu, ss2d_cpu
    except (ImportError, OSError) as error:
        _log.warning("numba is missing (%s): networks run on plain PyTorch, several times slower.", error)
        return ss2d_torch, final_state_torch
    return ss2d_cpu, final_state_cpu
