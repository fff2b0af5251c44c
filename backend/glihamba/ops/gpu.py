"""Which scan a GPU gets: Triton's kernels if they pass the self-test there, else the torch scan.

gpu.scan(device)(inputs)         # what ss2d calls
gpu.use("mamba")                 # "triton", "torch" or "mamba" from now on, by explicit wish only
"""

from __future__ import annotations

import logging
import threading

import torch

from glihamba.ops.layout import Scan
from glihamba.ops.selftest import ScanUnusable, first_line, self_test
from glihamba.ops.torch_scan import ss2d_torch

CHOICES = ("triton", "torch", "mamba")

_log = logging.getLogger(__name__)
_lock = threading.RLock()
_chosen: dict[str, str] = {}  # the wish, if there is one, under "scan"
_scans: dict[torch.device, Scan] = {}


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

        self_test(ss2d_triton, device)
    except Exception as error:  # whatever is wrong with Triton, its compiler or the driver, torch still works
        _log.warning(
            "The fused scan cannot be used on %s, the slower torch scan takes over: %s",
            device,
            first_line(error),
        )
        return ss2d_torch
    return ss2d_triton
