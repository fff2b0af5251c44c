"""The best pure-torch SS2D: length first, in place, with a hand-written adjoint.

Works on every device torch knows; the fused kernels replace it where they exist. The loop over the
length touches one (B, K, D, N) slab a step, so its cost is L small fused multiply-adds forward and L
backward. Long sequences without gradients are read in pieces, so that memory stays bounded.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glihamba.ops.layout import DIRECTIONS, ScanInputs, scan_orders

STEPS_AT_ONCE = 256


def ss2d_torch(inputs: ScanInputs) -> Tensor:
    """SS2D in float32, or in float64 if x is; returns x's dtype. Differentiable in every tensor."""
    x, dt_low_rank, dt_weight, dt_bias, B, C, A, D, height, width, h0 = inputs
    compute = torch.promote_types(x.dtype, torch.float32)
    batch, _, channels = x.shape
    orders, inverse = scan_orders(height, width, x.device)
    dt = F.softplus(torch.einsum("blkr,kdr->blkd", dt_low_rank.to(compute), dt_weight.to(compute)) + dt_bias)
    u = dt * x.to(compute).unsqueeze(2)
    h = x.new_zeros(batch, DIRECTIONS, channels, A.shape[-1], dtype=compute) if h0 is None else h0.to(compute)

    sequence = [_Reorder.apply(t, orders, inverse) for t in (dt, u, B.to(compute), C.to(compute))]
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (*sequence, A, h))
    if differentiable:
        y = _Scan.apply(*sequence, A.to(compute), h)
    else:
        y = _scan_in_pieces(sequence, A.to(compute), h)
    merged = _Reorder.apply(y.transpose(0, 1), inverse, orders).transpose(0, 1).sum(2)
    return (merged + x.to(compute) * D.sum(0)).to(x.dtype)


def final_state_torch(
    x: Tensor, dt_low_rank: Tensor, dt_weight: Tensor, dt_bias: Tensor, B: Tensor, A: Tensor
) -> Tensor:
    """State (B, K, D, N) after the L tokens of x, in closed form: sum_i exp(A (S_L - S_i)) dt_i x_i B_i.

    S is the running sum of the step sizes, so no exponent is positive and nothing overflows.
    """
    compute = torch.promote_types(x.dtype, torch.float32)
    dt = F.softplus(torch.einsum("blkr,kdr->blkd", dt_low_rank.to(compute), dt_weight.to(compute)) + dt_bias)
    total = dt.cumsum(1)
    decay = torch.exp((total[:, -1:] - total)[..., None] * A)
    return torch.einsum("blkdn,blkd,blkn->bkdn", decay, dt * x.to(compute).unsqueeze(2), B.to(compute))


def _states(dt: Tensor, u: Tensor, B: Tensor, A: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and states of every step, both (L, B, K, D, N)."""
    decay = torch.exp_(dt.unsqueeze(-1) * A)
    states = u.unsqueeze(-1) * B.unsqueeze(-2)
    h = h0
    for h_t, decay_t in zip(states.unbind(0), decay.unbind(0), strict=True):
        h = h_t.addcmul_(decay_t, h)
    return decay, states


class _Reorder(torch.autograd.Function):
    """(B, L, K, *) -> (L, B, K, *), direction k in the order orders[k].

    Backward is the inverse reordering; autograd's own would add into zeros.
    """

    @staticmethod
    def forward(ctx: Any, t: Tensor, orders: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(orders, inverse)
        return _reorder(t.transpose(0, 1), orders)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        _, inverse = ctx.saved_tensors
        return _reorder(grad, inverse).transpose(0, 1), None, None


def _reorder(t: Tensor, orders: Tensor) -> Tensor:
    out = torch.empty(t.shape, dtype=t.dtype, device=t.device)
    for k in range(DIRECTIONS):
        out[:, :, k] = t[orders[k], :, k]
    return out


def _read(states: Tensor, C: Tensor) -> Tensor:
    if states.shape[-1] == 1:
        return states.squeeze(-1) * C
    return torch.matmul(states, C.unsqueeze(-1)).squeeze(-1)


def _scan_in_pieces(sequence: list[Tensor], A: Tensor, h: Tensor) -> Tensor:
    dt, u, B, C = sequence
    y = torch.empty_like(u)
    for start in range(0, u.shape[0], STEPS_AT_ONCE):
        piece = slice(start, start + STEPS_AT_ONCE)
        _, states = _states(dt[piece], u[piece], B[piece], A, h)
        y[piece] = _read(states, C[piece])
        h = states[-1].clone()
    return y


class _Scan(torch.autograd.Function):
    """y_t = C_t h_t with h_t = exp(dt_t A) h_(t-1) + u_t B_t, over the leading axis.

    The adjoint runs the same recurrence backwards: g_t = C_t dy_t + exp(dt_(t+1) A) g_(t+1).
    """

    @staticmethod
    def forward(ctx: Any, dt: Tensor, u: Tensor, B: Tensor, C: Tensor, A: Tensor, h0: Tensor) -> Tensor:
        decay, states = _states(dt, u, B, A, h0)
        ctx.save_for_backward(dt, u, B, C, A, h0, decay, states)
        return _read(states, C)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        dt, u, B, C, A, h0, decay, states = ctx.saved_tensors
        adjoint = dy.unsqueeze(-1) * C.unsqueeze(-2)
        steps = adjoint.unbind(0)
        for t in range(len(steps) - 2, -1, -1):
            steps[t].addcmul_(decay[t + 1], steps[t + 1])
        dC = _over_channels(states, dy)
        du = _read(adjoint, B)
        dB = _over_channels(adjoint, u)
        dh0 = decay[0] * adjoint[0]
        exponent = adjoint.mul_(decay)  # gradient of dt A, once h_(t-1) is in
        exponent[1:].mul_(states[:-1])
        exponent[0].mul_(h0)
        dA = torch.einsum("lbkdn,lbkd->kdn", exponent, dt)
        ddt = torch.einsum("lbkdn,kdn->lbkd", exponent, A)
        return ddt, du, dB, dC, dA, dh0


def _over_channels(states: Tensor, weights: Tensor) -> Tensor:
    """(L, B, K, D, N) and (L, B, K, D) -> (L, B, K, N)."""
    return torch.matmul(weights.unsqueeze(-2), states).squeeze(-2)
