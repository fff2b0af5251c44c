"""Threads share the allocator's arenas, so that none keeps free memory of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# malloc_info writes a <heap nr="..."> for each arena.
SCRIPT = """
import ctypes, sys, threading
from glihamba.engine.device import keep_memory_together
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
if sys.argv[1] == "few":
    keep_memory_together()
met = threading.Barrier(12)
def work():
    met.wait()
    libc.malloc(1000)
    met.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


def arenas(how: str, path: str) -> int:
    subprocess.run([sys.executable, "-c", SCRIPT, how, path], check=True)
    with open(path, encoding="utf-8") as file:
        return file.read().count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="arenas of glibc")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another libc than glibc")
    assert arenas("many", f"{tmp_path}/many") > 2
    assert arenas("few", f"{tmp_path}/few") == 2
