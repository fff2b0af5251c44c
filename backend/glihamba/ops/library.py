"""SS2D as an operator of torch's own, `glihamba::ss2d`, so that torch.export and torch.compile take it.

Only traced code goes through it: a plain call keeps its shorter way (see `glihamba.ops.dispatch`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from glihamba.ops.dispatch import scan_for

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("glihamba::ss2d", mutates_args=())
def traced_ss2d(
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
    h0: Tensor | None,
) -> Tensor:
    """As `glihamba.ops.dispatch`, with the kernel of whatever device runs it."""
    arguments = (x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0)
    return scan_for(x)(*arguments).contiguous()


@torch.library.custom_op("glihamba::ss2d_backward", mutates_args=())
def ss2d_backward(
    dy: Tensor,
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
    h0: Tensor | None,
) -> Gradients:
    """Gradients of every tensor, dense and in its dtype; that of a missing h0 is empty."""
    given = [x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, *([] if h0 is None else [h0])]
    scan = scan_for(x)
    # The other thread begins on the default stream, where the tensors need not be ready yet.
    stream = torch.cuda.stream(torch.cuda.current_stream(x.device)) if x.is_cuda else nullcontext()

    def recomputed() -> tuple[Tensor, ...]:
        with stream:
            leaves = [t.detach().requires_grad_() for t in given]
            y = scan(*leaves[:8], height, width, *leaves[8:])
            return torch.autograd.grad(y, leaves, dy)

    gradients = [_new(t, g) for t, g in zip(given, _with_autograd(recomputed), strict=True)]
    return (*gradients, *([dy.new_empty(0)] if h0 is None else []))  # type: ignore[return-value]


def _with_autograd(work: Callable[[], Any]) -> Any:
    """Inside an operator the dispatcher has left autograd behind for this thread; another one has it."""
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
