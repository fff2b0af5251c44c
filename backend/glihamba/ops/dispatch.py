"""SS2D, the operation that carries the model: the public functions."""

from __future__ import annotations

import torch
from torch import Tensor

from glihamba.ops.choice import final_state_for, on_the_cpu, scan_for
from glihamba.ops.layout import ScanInputs
from glihamba.ops.torch_scan import ss2d_torch


def ss2d(inputs: ScanInputs) -> Tensor:
    """Four-direction selective scan of an image, summed (Sun, Yao, Ban 2024, Eq. 6).

    Returns y, (B, L, D), in x's dtype. States are kept in float32 (float64 if x is). Differentiable in every
    tensor. A NaN in the inputs gives a NaN. Raises ValueError when the sizes disagree.
    """
    tokens, height, width = inputs.x.shape[1], inputs.height, inputs.width
    if tokens != height * width:
        raise ValueError(f"x has {tokens} tokens, but {height} x {width} is {height * width}.")
    if torch.compiler.is_compiling():
        from glihamba.ops.library import traced_ss2d

        traced: Tensor = traced_ss2d(*inputs)
        return traced
    return scan_for(inputs.x)(inputs)


def final_state(
    x: Tensor, dt_low_rank: Tensor, dt_weight: Tensor, dt_bias: Tensor, B: Tensor, A: Tensor
) -> Tensor:
    """State (B, 4, D, N) after the scan of the L tokens of x (B, L, D) in their order, for use as `h0`.

    The other shapes are those of `ScanInputs`.
    """
    return final_state_for(x)(x, dt_low_rank, dt_weight, dt_bias, B, A)


def warm_up() -> bool:
    """Compile what inference on the CPU needs, so that the first picture need not wait for it.

    This takes about ten seconds, the next time a few tenths of one. False where numba is missing.
    """
    if on_the_cpu()[0] is ss2d_torch:
        return False
    from glihamba.ops.cpu.scan import compile_forward

    compile_forward()
    return True
