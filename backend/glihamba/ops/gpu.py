"""Which scan a GPU gets: Triton's kernels if they answer rightly there, else the torch scan, said once.

gpu.scan(device)(x, ...)         # what ss2d calls
gpu.use("mamba")                 # "triton", "torch" or "mamba" from now on, by explicit wish only
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import torch
from torch import Tensor

from glihamba.ops.torch_scan import ss2d_torch

Scan = Callable[..., Tensor]
CHOICES = ("triton", "torch", "mamba")
SELF_TEST = 5, 7, 40, 3, 2  # height, width, channels, N, R: neither whole tiles nor whole blocks
TOLERANCE = 1e-4  # relative, of the self-test: float32 gives 1e-6, anything wrong gives more than 1e-2

_log = logging.getLogger(__name__)
_lock = threading.RLock()
_chosen: dict[str, str] = {}  # the wish, if there is one, under "scan"
_scans: dict[torch.device, Scan] = {}


class ScanUnusable(RuntimeError):
    """The sentence says which scan cannot be used here, why, and what to do."""


def use(name: str) -> None:
    """Choose the scan of every GPU. Raises ScanUnusable if mamba-ssm's compiled scan does not work here."""
    if name not in CHOICES:
        raise ScanUnusable(f"There is no scan called {name!r}; choose one of {', '.join(CHOICES)}.")
    if name == "mamba":
        from glihamba.ops.mamba import require

        require()
    with _lock:
        _chosen["scan"] = name
        _scans.clear()


def scan(device: torch.device) -> Scan:
    """The scan for tensors on this GPU; the first call on a device tests it there."""
    found = _scans.get(device)
    if found is None:
        with _lock:
            found = _scans.get(device) or _found(device)
            _scans[device] = found
    return found


def _found(device: torch.device) -> Scan:
    wish = _chosen.get("scan", "triton")
    if wish == "mamba":
        from glihamba.ops.mamba import ss2d_mamba

        return ss2d_mamba
    if wish == "torch" or device.type != "cuda":  # Triton's kernels were written and tuned for CUDA
        return ss2d_torch
    try:
        from glihamba.ops.triton.scan import ss2d_triton

        check(ss2d_triton, device)
    except Exception as error:  # whatever is wrong with Triton, its compiler or the driver, torch still works
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        _log.warning(
            "The fused scan cannot be used on %s, the slower torch scan takes over: %s", device, reason
        )
        return ss2d_torch
    return ss2d_triton


def check(function: Scan, device: torch.device) -> None:
    """Compare a scan and its gradients with the torch scan on a small picture. Raises ScanUnusable."""
    generator = torch.Generator().manual_seed(0)
    height, width, channels, states, rank = SELF_TEST
    length = height * width
    shapes = (
        [(1, length, channels), (1, length, 4, rank), (4, channels, rank), (4, channels)]
        + [(1, length, 4, states)] * 2
        + [(4, channels, states), (4, channels), (1, 4, channels, states)]
    )
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    tensors[6] = -tensors[6].abs() - 0.1

    def run(scan: Scan, where: torch.device) -> list[Tensor]:
        leaves = [t.to(where).requires_grad_() for t in tensors]
        y = scan(*leaves[:8], height, width, leaves[8])
        gradients = torch.autograd.grad(y, leaves, torch.cos(y.detach()))
        return [t.detach().double().cpu() for t in (y, *gradients)]

    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        wanted, got = run(ss2d_torch, torch.device("cpu")), run(function, device)
    for right, ours in zip(wanted, got, strict=True):
        error = float((ours - right).norm() / right.norm())
        if not error <= TOLERANCE:
            raise ScanUnusable(f"its self-test is off by {error:.1e}")
