"""SS2D, the operation that carries the model: the public functions and their dispatch.

Dispatch is by the tensor's device, never by what happens to be installed. Devices without a fused
kernel, and float64, run the pure-torch scan.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from glihamba.ops.torch_scan import final_state_torch, ss2d_torch

Scan = Callable[..., Tensor]
_log = logging.getLogger(__name__)


def ss2d(
    x: Tensor,
    dt_low_rank: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    B: Tensor,
    C: Tensor,
    A: Tensor,
    D: Tensor,
    height: int,
    width: int,
    h0: Tensor | None = None,
) -> Tensor:
    """Four-direction selective scan of an image, summed (paper 000, Eq. 6).

    x (B, L, D) with L = height * width, row-major, channels last; dt_low_rank (B, L, 4, R);
    dt_weight (4, D, R); dt_bias (4, D); B, C (B, L, 4, N); A (4, D, N), negative; D (4, D);
    h0 (B, 4, D, N) or None for zeros. Returns (B, L, D) in x's dtype; states are
    kept in float32 (float64 if x is). Differentiable in every tensor. NaN in is NaN out.

    Raises ValueError when the sizes disagree.
    """
    if x.shape[1] != height * width:
        raise ValueError(f"x has {x.shape[1]} tokens, but {height} x {width} is {height * width}.")
    if torch.compiler.is_compiling():
        from glihamba.ops.library import traced_ss2d

        return traced_ss2d(x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0)
    return scan_for(x)(x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0)


def scan_for(x: Tensor) -> Scan:
    """The scan that `ss2d` calls for such a tensor."""
    if x.dtype == torch.float64:
        return ss2d_torch
    if x.device.type == "cpu":
        return _on_the_cpu()[0]
    from glihamba.ops import gpu

    return gpu.scan(x.device)


@cache
def _on_the_cpu() -> tuple[Scan, Scan]:
    """`ss2d` and `final_state`."""
    try:
        from glihamba.ops.cpu.scan import final_state_cpu, ss2d_cpu
    except (ImportError, OSError) as error:
        _log.warning("numba is missing (%s): networks run on plain PyTorch, several times slower.", error)
        return ss2d_torch, final_state_torch
    return ss2d_cpu, final_state_cpu


def final_state(
    x: Tensor, dt_low_rank: Tensor, dt_weight: Tensor, dt_bias: Tensor, B: Tensor, A: Tensor
) -> Tensor:
    """State (B, 4, D, N) after scanning the L tokens of x (B, L, D) in their order, for use as `h0`.

    The other shapes are those of `ss2d`.
    """
    fused = x.device.type == "cpu" and x.dtype != torch.float64 and not torch.compiler.is_compiling()
    end = _on_the_cpu()[1] if fused else final_state_torch
    return end(x, dt_low_rank, dt_weight, dt_bias, B, A)


def warm_up() -> bool:
    """Compile what inference on the CPU needs, so that the first picture need not wait for it.

    Takes about ten seconds, the next time a few tenths of one. False where numba is missing.
    """
    if _on_the_cpu()[0] is ss2d_torch:
        return False
    from glihamba.ops.cpu.scan import compile_forward

    compile_forward()
    return True
