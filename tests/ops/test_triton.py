"""The GPU's kernels: their cases in Triton's interpreter and on a GPU, what the compiler makes of them, and
what happens where they cannot run.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from glihamba.ops import gpu, ss2d
from glihamba.ops.selftest import ScanUnusable
from glihamba.ops.torch_scan import ss2d_torch

CASES = Path(__file__).with_name("triton_cases.py")
needs_triton = pytest.mark.skipif(
    sys.platform != "linux", reason="pip has Triton for Linux alone: its kernels are tested there"
)


def run_cases(tmp_path, interpret):
    """In a process of their own: Triton decides on import whether it interprets."""
    pytest.importorskip("triton", reason="Triton is not installed: pip install 'glihamba[test]' brings it")
    environment = {**os.environ, "TRITON_INTERPRET": str(int(interpret)), "TRITON_CACHE_DIR": str(tmp_path)}
    if interpret:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "pytest", "-q", str(CASES), "-W", "ignore::RuntimeWarning"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 25


@needs_triton
def test_the_cases_hold_in_the_interpreter(tmp_path):
    run_cases(tmp_path, interpret=True)


@needs_triton
@pytest.mark.gpu
def test_the_cases_hold_on_the_gpu(tmp_path):
    run_cases(tmp_path, interpret=False)


@needs_triton
@pytest.mark.parametrize("capability", [80, 90, 120])
def test_no_kernel_spills(capability, tmp_path):
    """Every tile in use fits the registers, and a forward scan uses no shuffles."""
    pytest.importorskip("triton", reason="Triton is not installed: pip install 'glihamba[test]' brings it")
    program = Path(__file__).with_name("triton_compiled.py")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    command = [sys.executable, str(program), str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    if done.returncode == 3:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) >= (11 if capability == 90 else 3)
    for kernel, registers, spilled, shuffles in rows:
        assert int(spilled) == 0, done.stdout
        assert 16 <= int(registers) <= 255, done.stdout
        assert kernel.startswith(("tile_gradients", "arrange")) or int(shuffles) == 0, done.stdout


def test_a_device_without_the_kernels_gets_the_torch_scan_and_one_sentence(monkeypatch, caplog):
    def broken(function, device):
        raise RuntimeError("Failed to find C compiler\nand a traceback")

    pytest.importorskip("triton", reason="Triton is not installed: pip install 'glihamba[test]' brings it")
    monkeypatch.setattr(gpu, "self_test", broken)
    monkeypatch.setattr(gpu, "_scans", {})
    device = torch.device("cuda", 0)
    with caplog.at_level(logging.WARNING, "glihamba.ops.gpu"):
        assert gpu.scan(device) is ss2d_torch
        assert gpu.scan(device) is ss2d_torch
    assert [record.getMessage() for record in caplog.records] == [
        "The fused scan cannot be used on cuda:0, the slower torch scan takes over: Failed to find C compiler"
    ]


def test_the_torch_scan_can_be_wished_for_and_other_words_are_refused(monkeypatch):
    monkeypatch.setattr(gpu, "_scans", {})
    monkeypatch.setattr(gpu, "_chosen", {})
    gpu.use("torch")
    assert gpu.scan(torch.device("cuda", 0)) is ss2d_torch
    with pytest.raises(ScanUnusable, match="no scan called 'fast'; choose one of triton, torch, mamba"):
        gpu.use("fast")


def test_nothing_of_the_gpu_is_imported_for_a_scan_on_the_cpu():
    program = (
        "import sys, torch\nfrom glihamba.ops import ScanInputs, ss2d\n"
        "x = torch.ones(1, 4, 2); k = torch.ones(1, 4, 4, 1)\n"
        "a = torch.ones(4, 2, 1); ss2d(ScanInputs(x, k, a, a[..., 0], k, k, -a, a[..., 0], 2, 2))\n"
        "sys.exit(any(name.split('.')[0] == 'triton' or name.startswith('glihamba.ops.triton')"
        " for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_other_devices_get_the_torch_scan():
    assert gpu.scan(torch.device("mps")) is ss2d_torch
    assert callable(ss2d)
