"""SS2D as an operator of torch's own, `glihamba::ss2d`, so that torch.export and torch.compile take it.

Only traced code goes through it: a plain call takes a shorter way (see `glihamba.ops.dispatch`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, get_type_hints

import torch
from torch import Tensor

from glihamba.ops.choice import scan_for
from glihamba.ops.layout import ScanInputs

_KINDS = {Tensor: "Tensor", int: "int", Tensor | None: "Tensor?"}
_INPUTS = ", ".join(f"{_KINDS[kind]} {name}" for name, kind in get_type_hints(ScanInputs).items())
_GRADIENTS = ", ".join(["Tensor"] * 9)


@torch.library.custom_op("glihamba::ss2d", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def traced_ss2d(*inputs: Any) -> Tensor:
    """As `glihamba.ops.ss2d`, of the values of `ScanInputs`, with the kernel of the device that runs it."""
    return scan_for(inputs[0])(ScanInputs(*inputs)).contiguous()


@torch.library.custom_op(
    "glihamba::ss2d_backward", mutates_args=(), schema=f"(Tensor dy, {_INPUTS}) -> ({_GRADIENTS})"
)
def ss2d_backward(dy: Tensor, *values: Any) -> tuple[Tensor, ...]:
    """Gradients of every tensor, dense and in its dtype; that of a missing h0 is empty."""
    inputs = ScanInputs(*values)
    scan = scan_for(inputs.x)
    # The other thread begins on the default stream, where the tensors need not be ready yet.
    stream = torch.cuda.stream(torch.cuda.current_stream(dy.device)) if dy.is_cuda else nullcontext()

    def recomputed() -> tuple[Tensor, ...]:
        with stream:
            leaves = inputs.map(lambda t: t.detach().requires_grad_())
            return torch.autograd.grad(scan(leaves), leaves.tensors, dy)

    gradients = [_new(t, g) for t, g in zip(inputs.tensors, _with_autograd(recomputed), strict=True)]
    return (*gradients, *([dy.new_empty(0)] if inputs.h0 is None else []))


def _with_autograd(work: Callable[[], Any]) -> Any:
    """Run `work` with autograd, which torch has switched off for this thread inside an operator."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(work).result()


def _new(like: Tensor, gradient: Tensor) -> Tensor:
    return gradient.to(like.dtype).contiguous()


@traced_ss2d.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape)


@ss2d_backward.register_fake
def _(dy: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    *given, _, _, h0 = arguments
    last = dy.new_empty(0) if h0 is None else h0.new_empty(h0.shape)
    return (*(t.new_empty(t.shape) for t in given), last)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *given, ctx.height, ctx.width, h0 = inputs
    ctx.save_for_backward(*given, h0)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    *given, h0 = ctx.saved_tensors
    *gradients, dh0 = ss2d_backward(dy, *given, ctx.height, ctx.width, h0)
    return (*gradients, None, None, None if h0 is None else dh0)


traced_ss2d.register_autograd(_backward, setup_context=_keep)

OPERATOR = torch.ops.glihamba.ss2d.default
"""What a traced network calls."""
