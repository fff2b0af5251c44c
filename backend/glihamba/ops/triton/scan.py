"""SS2D on an NVIDIA GPU: launches the Triton kernels, forward and backward.

x, dt_low_rank, B and C may be float32, bfloat16 or float16; steps, A and states are float32. Nothing but the
inputs is kept for the backward, which scans both ways again. Sums into dB and dC are atomic: their last bits
vary from run to run, all else is the same every time.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor

from glihamba.ops.layout import DIRECTIONS, ScanInputs
from glihamba.ops.triton import kernels
from glihamba.ops.triton.sequential import sequential
from glihamba.ops.triton.tuning import BACKWARD_PLANS, Plan, choose, forward_plans

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]
CARRY = {"T": 32, "BD": 32, "num_warps": 1}
OUTPUT_REGISTERS = 168  # left to itself, the assembler takes fewer at N = 1 on sm_90, and spills
ARRANGED = 64  # steps a program brings into scan order


def ss2d_triton(inputs: ScanInputs) -> Tensor:
    """SS2D. Returns x's dtype. Differentiable in every tensor."""
    y: Tensor = _SS2D.apply(*inputs)
    return y


class _SS2D(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        *tensors, ctx.height, ctx.width, h0 = args
        ctx.save_for_backward(*tensors, h0)
        return Launches(ScanInputs(*args)).forward()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, h0 = ctx.saved_tensors
        *gradients, dh0 = Launches(ScanInputs._make((*tensors, ctx.height, ctx.width, h0))).backward(dy)
        return (*gradients, None, None, dh0)


class Launches:
    """The kernels' launches of one scan, with its inputs as the kernels want them.

    Without a plan, timing decides which kernel and tiles to take.
    """

    def __init__(self, inputs: ScanInputs) -> None:
        x, low, weight, bias, B, C, A, D, height, width, h0 = inputs
        self.x, self.low, self.B, self.C = x.contiguous(), _by_pixel(low), _by_pixel(B), _by_pixel(C)
        self.weight, self.bias, self.A, self.D = (t.contiguous() for t in (weight, bias, A, D))
        self.h0 = None if h0 is None else h0.contiguous()
        self.height, self.width = height, width
        self.batch, self.length, self.channels = x.shape
        self.N, self.R = B.shape[-1], low.shape[-1]

    def forward(self, plan: Plan | None = None) -> Tensor:
        """y, in x's dtype."""
        with self._device():
            plan = plan or choose("forward", self.x, self.N, forward_plans(self.x), self._outputs)
            return self._outputs(plan)

    def backward(self, dy: Tensor, plan: Plan | None = None) -> Gradients:
        """Gradients of x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, h0 (None without), in their dtypes."""
        run = partial(self._gradients, dy.contiguous())
        with self._device():
            return run(plan or choose("backward", self.x, self.N, BACKWARD_PLANS, run))

    def _device(self) -> Any:
        """The kernels go to the current device, which need not be x's."""
        return torch.cuda.device(self.x.device) if self.x.is_cuda else nullcontext()

    def _outputs(self, plan: Plan) -> Tensor:
        parts = self._new(2, self.batch, self.length, self.channels)
        (self._sequential_outputs if plan.kernel == "sequential" else self._tile_outputs)(plan, parts)
        return torch.add(parts[0], parts[1], out=torch.empty_like(self.x))

    def _sequential_outputs(self, plan: Plan, parts: Tensor) -> None:
        chunks = triton.cdiv(self.length, plan.steps)
        entering = self.h0
        if chunks > 1:
            local, elapsed = self._states(chunks), self._sums(chunks)
            self._sequential(plan, chunks, None, local, elapsed, None)
            entering, _ = self._carried(local, elapsed, self.h0, back=False)
        self._sequential(plan, chunks, entering, None, None, parts)

    def _tile_outputs(self, plan: Plan, parts: Tensor) -> None:
        chunks = triton.cdiv(self.length, plan.steps)
        low, B, C = (self._arranged(t, plan) for t in (self.low, self.B, self.C))
        entering = self._states(chunks)
        if chunks > 1:
            elapsed = self._sums(chunks)
            self._tile_states(plan, None, low, B, C, entering, None, elapsed)
            entering, _ = self._carried(entering, elapsed, self.h0, back=False)
        elif self.h0 is None:
            entering.zero_()
        else:
            entering[:, :, 0] = self.h0.transpose(2, 3)
        kernels.tile_outputs[self._grid(plan)](
            *(self.x, low, self.weight, self.bias, B, C, self.A, self.D, entering, parts),
            *self._sizes(plan),
            plan.steps // plan.tile,
            **self._tile(plan),
            maxnreg=OUTPUT_REGISTERS,
        )

    def _gradients(self, dy: Tensor, plan: Plan) -> Gradients:
        chunks = triton.cdiv(self.length, plan.steps)
        forth, back, dA = (self._states(chunks) for _ in range(3))
        elapsed = self._sums(chunks)
        low, B, C = (self._arranged(t, plan) for t in (self.low, self.B, self.C))
        self._tile_states(plan, dy, low, B, C, forth, back, elapsed)
        entering, _ = self._carried(forth, elapsed, self.h0, back=False)
        entering_back, dh0 = self._carried(back, elapsed, None, back=True)
        parts = self._new(2, self.batch, self.length, self.channels)
        dz = self._new(self.batch, DIRECTIONS, chunks * plan.steps, self.channels)
        dB, dC = torch.zeros_like(B), torch.zeros_like(C)
        kernels.tile_gradients[self._grid(plan)](
            *(self.x, dy, low, self.weight, self.bias, B, C, self.A, self.D),
            *(entering, entering_back, parts, dz, dB, dC, dA),
            *self._sizes(plan),
            **self._tile(plan),
        )
        skipped = torch.einsum("bld,bld->d", dy.float(), self.x.float())
        return (
            self._merged(*parts),
            self._in_image_order(
                torch.einsum("bkpd,kdr->bkrp", dz, self.weight.float()).contiguous(), self.low
            ),
            torch.einsum("bkpd,bkrp->kdr", dz, low).to(self.weight.dtype),
            dz.sum((0, 2)).to(self.bias.dtype),
            self._in_image_order(dB, self.B),
            self._in_image_order(dC, self.C),
            dA.sum((0, 2)).transpose(1, 2).to(self.A.dtype),
            skipped.expand(DIRECTIONS, -1).to(self.D.dtype),
            None if self.h0 is None else dh0.to(self.h0.dtype),
        )

    def _tile_states(
        self,
        plan: Plan,
        dy: Tensor | None,
        low: Tensor,
        B: Tensor,
        C: Tensor,
        forth: Tensor,
        back: Tensor | None,
        elapsed: Tensor,
    ) -> None:
        kernels.tile_states[self._grid(plan)](
            *(self.x, dy, low, self.weight, self.bias, B, C, self.A, forth, back, elapsed),
            *self._sizes(plan),
            plan.steps // plan.tile,
            BACK=back is not None,
            **self._tile(plan),
        )

    def _carried(
        self, local: Tensor, elapsed: Tensor, start: Tensor | None, back: bool
    ) -> tuple[Tensor, Tensor]:
        """What enters each chunk; and what leaves the last, (B, 4, D, N)."""
        entering = torch.empty_like(local)
        leaving = self._new(self.batch, DIRECTIONS, self.channels, self.N)
        grid = (self.batch * DIRECTIONS * self.N, triton.cdiv(self.channels, CARRY["BD"]))
        kernels.carry[grid](
            *(local, elapsed, self.A, start, entering, leaving, self.channels, elapsed.shape[2]),
            N=self.N,
            BACK=back,
            STARTED=start is not None,
            **CARRY,
        )
        return entering, leaving

    def _sequential(
        self,
        plan: Plan,
        chunks: int,
        entering: Tensor | None,
        leaving: Tensor | None,
        elapsed: Tensor | None,
        parts: Tensor | None,
    ) -> None:
        B, C = _aligned(self.B), _aligned(self.C)
        by_channel = (self.N, 1) if chunks == 1 else (1, self.channels)  # h0's layout, or the states'
        sequential[self._grid(plan)](
            *(self.x, self.low, self.weight, self.bias, B, C, self.A, self.D),
            *(entering, leaving, elapsed, parts),
            *(self.height, self.width, self.channels, self.R, chunks, plan.steps),
            *(stride for t in (self.low, B, C) for stride in t.stride()[1:3]),
            *by_channel,
            unit=1,
            N=self.N,
            NP=triton.next_power_of_2(self.N),
            RP=triton.next_power_of_2(self.R),
            BD=plan.channels,
            STARTED=entering is not None,
            OUTPUT=parts is not None,
            num_warps=plan.warps,
        )

    def _arranged(self, t: Tensor, plan: Plan) -> Tensor:
        """(B, L, 4, M) to (B, 4, M, P) float32 in scan order, P whole tiles."""
        tokens = triton.cdiv(self.length, plan.steps) * plan.steps
        out = self._new(self.batch, DIRECTIONS, t.shape[-1], tokens)
        self._arrange(t, out, back=False)
        return out

    def _in_image_order(self, t: Tensor, like: Tensor) -> Tensor:
        """The way back, into a dense tensor of the other's shape and dtype."""
        out = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        self._arrange(out, t, back=True)
        return out

    def _merged(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The sum of what was read by rows and by columns, each (B, L, D) in its order, in x's dtype."""
        out = torch.empty_like(self.x)
        image = out.view(self.batch, self.height, self.width, self.channels)
        turned = columns.view(self.batch, self.width, self.height, self.channels).transpose(1, 2)
        torch.add(rows.view_as(image), turned, out=image)
        return out

    def _arrange(self, image_order: Tensor, scan_order: Tensor, back: bool) -> None:
        members, tokens = scan_order.shape[2:]
        kernels.arrange[(triton.cdiv(tokens, ARRANGED), self.batch * DIRECTIONS)](
            *(image_order, scan_order, self.height, self.width, members, tokens),
            *image_order.stride()[1:3],
            T=ARRANGED,
            BD=triton.next_power_of_2(members),
            BACK=back,
            num_warps=4,
        )

    def _grid(self, plan: Plan) -> tuple[int, int, int]:
        chunks, blocks = triton.cdiv(self.length, plan.steps), triton.cdiv(self.channels, plan.channels)
        return chunks, 2 * self.batch, blocks

    def _sizes(self, plan: Plan) -> tuple[int, ...]:
        chunks = triton.cdiv(self.length, plan.steps)
        return self.height, self.width, self.channels, self.R, chunks, chunks * plan.steps

    def _tile(self, plan: Plan) -> dict[str, int]:
        return {"N": self.N, "T": plan.tile, "BD": plan.channels, "num_warps": plan.warps}

    def _new(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float32, device=self.x.device)

    def _states(self, chunks: int) -> Tensor:
        return self._new(self.batch, DIRECTIONS, chunks, self.N, self.channels)

    def _sums(self, chunks: int) -> Tensor:
        return self._new(self.batch, DIRECTIONS, chunks, self.channels)


def _by_pixel(t: Tensor) -> Tensor:
    """(B, L, 4, M) as it is if the images follow each other and the last axis is dense, else a copy.

    The model's three are views of one tensor: no copy.
    """
    dense = t.shape[-1] == 1 or t.stride(-1) == 1
    following = t.shape[0] == 1 or t.stride(0) == t.shape[1] * t.stride(1)
    return t if dense and following else t.contiguous()


def _aligned(t: Tensor) -> Tensor:
    """A copy where it lets a thread load its states sixteen bytes at a time."""
    return t.contiguous() if t.shape[-1] % 16 == 0 and any(s % 16 for s in t.stride()[1:3]) else t
