"""The test that a GPU's scan must pass on its device before pictures are given to it."""

from __future__ import annotations

import torch
from torch import Tensor

from glihamba.ops.layout import DIRECTIONS, Scan, ScanInputs
from glihamba.ops.torch_scan import ss2d_torch

SELF_TEST = 5, 7, 40, 3, 2  # height, width, channels, N, R: neither whole tiles nor whole blocks
TOLERANCE = 1e-4  # relative: float32 gives 1e-6, anything wrong gives more than 1e-2


class ScanUnusable(RuntimeError):
    """A scan cannot be used here. The sentence says which, why, and what to do."""


def self_test(scan: Scan, device: torch.device) -> None:
    """Compare a scan and its gradients with the torch scan on a small picture. Raises ScanUnusable."""
    inputs = _sample()

    def run(function: Scan, where: torch.device) -> list[Tensor]:
        leaves = inputs.map(lambda t: t.to(where).requires_grad_())
        y = function(leaves)
        gradients = torch.autograd.grad(y, leaves.tensors, torch.cos(y.detach()))
        return [t.detach().double().cpu() for t in (y, *gradients)]

    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        wanted, got = run(ss2d_torch, torch.device("cpu")), run(scan, device)
    for right, ours in zip(wanted, got, strict=True):
        error = float((ours - right).norm() / right.norm())
        if not error <= TOLERANCE:
            raise ScanUnusable(f"its self-test is off by {error:.1e}")


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _sample() -> ScanInputs:
    """Random inputs in float32 on the CPU, h0 among them."""
    generator = torch.Generator().manual_seed(0)
    height, width, channels, states, rank = SELF_TEST
    length = height * width
    by_token = (1, length, DIRECTIONS)
    by_channel = (DIRECTIONS, channels)
    shapes = (
        *((1, length, channels), (*by_token, rank), (*by_channel, rank), by_channel),
        *((*by_token, states), (*by_token, states), (*by_channel, states), by_channel),
        (1, *by_channel, states),
    )
    x, low, weight, bias, B, C, A, D, h0 = (torch.randn(shape, generator=generator) for shape in shapes)
    return ScanInputs(x, low, weight, bias, B, C, -A.abs() - 0.1, D, height, width, h0)
