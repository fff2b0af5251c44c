"""Compiles the Triton kernels for one compute capability, without a GPU, and prints for each the registers
of a thread, the bytes it spills and the shuffles of its machine code. Exit status 3: no assembler.

    python triton_compiled.py 90

The figures are kept in `build/triton`. A kernel is compiled again only if it, what it calls, its constants or
Triton have changed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from glihamba.ops.triton import kernels
from glihamba.ops.triton.scan import ARRANGED, CARRY, OUTPUT_REGISTERS
from glihamba.ops.triton.sequential import sequential
from glihamba.ops.triton.tuning import TILES
from glihamba_proto.files import replacing

KEPT = Path(__file__).resolve().parents[2] / "build" / "triton"
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
FEATURES = {"x", "dy", "image_order"}
SIZES = {
    *("H", "W", "D", "R", "G", "P", "tiles", "steps", "unit", "low_t", "low_k", "B_t", "B_k", "C_t", "C_k"),
    *("by_pixel", "by_direction", "entering_d", "entering_n"),
}
ALIGNED = {"P", "B_t", "B_k", "C_t", "C_k"}


def wanted(everything):
    """(kernel, its constants, warps): what a model runs, or of that the hungriest."""
    for channels, warps in TILES if everything else TILES[:1]:
        yield kernels.tile_gradients, {"N": 16, "T": 16, "BD": channels}, warps
        yield kernels.tile_outputs, {"N": 16, "T": 16, "BD": channels}, warps
    yield kernels.tile_outputs, {"N": 1, "T": 16, "BD": 32}, 1
    if not everything:
        return
    for back in (False, True):
        yield kernels.tile_states, {"N": 16, "T": 16, "BD": 32, "BACK": back}, 1
    for states in (1, 16):
        step = {"N": states, "NP": states, "RP": 8, "BD": 32, "STARTED": True}
        yield sequential, {**step, "OUTPUT": True}, 1
    yield kernels.carry, {"T": 32, "BD": 32, "N": 16, "BACK": False, "STARTED": True}, CARRY["num_warps"]
    yield kernels.arrange, {"T": ARRANGED, "BD": 16, "BACK": False}, 4


def compiled(kernel, constants, warps, capability):
    half = "*bf16"
    signature, aligned = {}, {}
    for index, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
            continue
        sequential_view = kernel is sequential and name in ("low", "B", "C")
        signature[name] = "i32" if name in SIZES else half if name in FEATURES or sequential_view else "*fp32"
        if name not in SIZES or name in ALIGNED:
            aligned[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, aligned)
    options = {"num_warps": warps}
    if kernel is kernels.tile_outputs:
        options["maxnreg"] = OUTPUT_REGISTERS
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def figures(ptx, assembler):
    target = re.findall(r"\.target (\w+)", ptx)[0]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.ptx").write_text(ptx)
        binary = Path(folder) / "kernel.cubin"
        command = [assembler, "-v", f"--gpu-name={target}", Path(folder) / "kernel.ptx", "-o", binary]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        code = subprocess.run([TOOLS / "nvdisasm", "-c", binary], capture_output=True, text=True, check=True)
    registers = int(re.findall(r"Used (\d+) registers", said)[0])
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
    return registers, spilled, code.stdout.count("SHFL")


def row(kernel, constants, warps, capability, assembler):
    """The kernel's line of the output, from `build/triton` if it lies there."""
    name = "-".join([kernel.__name__, *(f"{key}{int(value)}" for key, value in constants.items())])
    asked = (kernel.cache_key, name, warps, capability, OUTPUT_REGISTERS, triton.__version__)
    content = repr(asked).encode() + Path(__file__).read_bytes()
    kept = KEPT / f"{hashlib.sha256(content).hexdigest()}.txt"
    if not kept.exists():
        ptx = compiled(kernel, constants, warps, capability).asm["ptx"]
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as part:
            part.write_text(" ".join(map(str, (name, *figures(ptx, assembler)))), "utf-8")
    return kept.read_text("utf-8")


def main(capability):
    assembler = TOOLS / ("ptxas-blackwell" if capability >= 100 else "ptxas")
    if not (assembler.exists() and (TOOLS / "nvdisasm").exists()):
        print(f"this Triton brings no {assembler.name} or nvdisasm: registers cannot be counted")
        return 3
    for kernel, constants, warps in wanted(everything=capability == 90):
        print(row(kernel, constants, warps, capability, assembler), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
