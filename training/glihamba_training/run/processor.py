"""How a training uses this machine's processor: memory between steps, matrix products, precision."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

import torch


def keep_freed_memory() -> None:
    """Have glibc keep memory that a step has freed for the next step; other C libraries are left alone.

    Otherwise every large tensor is mapped anew and the kernel clears its pages: 80,000 page faults and a
    fifth of the time of a step of `glihamba-tiny` (32 pictures of 96 x 96, one thread: 1.27 s became 1.04 s,
    best of 8).
    """
    if not sys.platform.startswith("linux") or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)


def precision_here(wanted: str) -> str:
    """A name of `recipe.PRECISIONS`: the wanted one, or for "auto" the fastest that keeps its range.

    That is "bf16" if the graphics card, or without one the processor, computes in bfloat16, else "32".
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    return "bf16" if computes_in_bf16(torch.cpu.get_capabilities()) else "32"


def computes_in_bf16(processor: Mapping[str, Any]) -> bool:
    """Whether the processor multiplies in bfloat16; elsewhere PyTorch imitates it, far more slowly.

    processor: what `torch.cpu.get_capabilities` returns.
    """
    return any(processor.get(name) for name in ("amx_bf16", "avx512_bf16"))


def multiply_by_onednn() -> None:
    """Have oneDNN compute matrix products in 32 bits if `onednn_gains` says so."""
    if onednn_gains(torch.cpu.get_capabilities()):
        # "bf16" only permits oneDNN to round: without AMX it does not, and the results are those of 32 bits.
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]


def onednn_gains(processor: Mapping[str, Any]) -> bool:
    """Whether oneDNN's matrix products in 32 bits are faster than MKL's, and as exact.

    processor: what `torch.cpu.get_capabilities` returns. MKL keeps to AVX2 on AMD's processors, oneDNN uses
    AVX-512. Without AVX-512 oneDNN took 1.8 times as long as MKL (EPYC Zen 3, 18432 x 128 by 128 x 64). With
    AMX it would round to bfloat16.
    """
    amd = "AMD" in processor.get("cpu_name", "")
    return amd and bool(processor.get("avx512_f")) and not processor.get("amx_bf16")
