"""Which device the network runs on, what it is called, and how its memory is given back."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import NamedTuple

from glihamba_proto.messages import Note


class Device(NamedTuple):
    """`kind` is "cpu" or "cuda"; `notice` is what the person should know about the choice."""

    kind: str
    name: str
    notice: Note | None = None


def choose_device(wish: str, threads: int) -> Device:
    """The device for `wish` (auto, cpu or cuda): the CPU, with a notice, when CUDA was hoped for in vain."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    if wish == "cpu":
        return Device("cpu", cpu_name())
    notice = Note("NOTICE.NO_GPU")
    try:
        if torch.cuda.is_available():
            torch.zeros(1, device="cuda").add_(1).item()  # a driver that is too old says so only now
            return Device("cuda", torch.cuda.get_device_name())
    except RuntimeError as error:
        notice = Note("NOTICE.GPU_FAILS", {"reason": str(error).splitlines()[0]})
    if wish == "auto" and shutil.which("nvidia-smi") is None:
        return Device("cpu", cpu_name())
    if torch.version.cuda is None:
        notice = Note("NOTICE.CPU_PYTORCH")
    return Device("cpu", cpu_name(), notice)


def cpu_name() -> str:
    """The processor's name for people, as the system tells it."""
    with suppress(OSError, StopIteration, subprocess.SubprocessError):
        if sys.platform == "linux":
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
                return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
    return platform.processor() or platform.machine() or f"{os.cpu_count()} cores"


_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def keep_memory_together(arenas: int = 2) -> None:
    """Have glibc allocate from few arenas, whatever the number of threads; call it before there are threads.

    Otherwise every thread that serves a call may get an arena of its own, and keep what is free in it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a libc without mallopt
            ctypes.CDLL(None).mallopt(_ARENA_MAX, arenas)


def return_memory() -> None:
    """Collect garbage and hand free memory back to the system (and to other users of the GPU)."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a libc without malloc_trim
            ctypes.CDLL(None).malloc_trim(0)
