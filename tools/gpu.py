"""Run every GPU test, every benchmark and a training on a Linux machine with an NVIDIA GPU, in one call.

    python tools/gpu.py pack bundle.tar.gz --photos photos/   here: code and a share of the photographs
    python tools/gpu.py run                                   there: measure, in the unpacked bundle
    python tools/gpu.py run --cpu                             rehearse everything on the CPU, very small
    python tools/gpu.py table                                 write the tables of docs/BENCHMARKS.md again

The machine needs Linux, NVIDIA's driver, and Python 3.11 to 3.13 with `venv`. The run uses the packages that
this Python has. What is missing of pyproject.toml's dependencies (PyTorch among them), of its extra `train`
and of TEST_PACKAGES (Triton among them), pip installs into an environment in `build/gpu`. Nothing else is
downloaded; with --pip=--no-index --pip=--find-links=FOLDER nothing is. Triton also needs a C compiler and
Python's headers: without them the scan runs in PyTorch, and the tests of the kernels fail.

A step that fails or takes too long is a result, and the others follow. Results are written after each step.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from gpu_bundle import BUNDLE_MB, git, pack
from gpu_machine import REPOSITORY, WORK, GpuError, Machine, StepFailed, install, look, missing_packages
from gpu_steps import RECIPE, START, Step, steps
from gpu_tables import update

NO_GPU = "No NVIDIA GPU is here: run this where there is one, or rehearse with --cpu."


def run(given: argparse.Namespace) -> int:
    """Run the steps; returns 0 if none failed. Raises GpuError if nothing can be run at all."""
    if sys.platform != "linux":
        raise GpuError("This runs on Linux only.")
    if sys.version_info < (3, 11):
        raise GpuError("This needs Python 3.11 or newer.")
    if given.cpu and given.output.resolve() == REPOSITORY:
        raise GpuError("A rehearsal measures nothing: name another folder with --output.")
    machine = Machine(given.cpu, given.work)
    if not (given.cpu or nvidia_smi()):
        raise GpuError(NO_GPU)
    installed = []
    if missing := missing_packages():
        step = Step(
            "install", "pip install", ", ".join(missing), lambda: install(machine, given.pip, missing)
        )
        installed.append(measure(step))
    look(machine)
    record = {**record_of(machine), "measurements": installed}
    name = re.sub(r"[^a-z0-9]+", "-", (machine.facts["name"] or "rehearsal").lower())
    file = free(given.output / "benchmarks", f"{record['date']}-{name}")

    def keep() -> None:
        file.write_text(json.dumps(record, indent=1) + "\n", "utf-8")

    keep()
    try:
        for step in steps(machine, given):
            if not given.only or step.name in given.only:
                print(f"{step.name:10}", end="", flush=True)
                record["measurements"].append(measurement := measure(step))
                keep()
                print(measurement.get("failed", f"done in {measurement['seconds']} s"))
    finally:
        page = published(given.output)
        print(f"Results: {file}\nTables: {page}")
    return int(any("failed" in each for each in record["measurements"]))


def record_of(machine: Machine) -> dict[str, Any]:
    """What the results hold for."""
    now = datetime.datetime.now()
    return {
        "date": f"{now:%Y-%m-%d}",
        "begun": now.isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": f"{machine.facts['name'] or 'rehearsal'}; {machine.facts['processor']}",
        "gpu": {**machine.facts, "nvidia-smi": nvidia_smi()},
    }


def published(output: Path) -> Path:
    """The benchmarks page in `output`, a copy of ours if it has none, with the tables of its results."""
    page = output / "docs" / "BENCHMARKS.md"
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "docs" / "BENCHMARKS.md", page)
    update(page, output / "benchmarks")
    return page


def free(folder: Path, name: str) -> Path:
    """A file in the folder that does not exist yet: old measurements stay."""
    folder.mkdir(parents=True, exist_ok=True)
    numbered = (folder / f"{name}{f'-{number}' if number > 1 else ''}.json" for number in count(1))
    return next(file for file in numbered if not file.exists())


def measure(step: Step) -> dict[str, Any]:
    """The step's measurement. A failure of any kind is one sentence in it."""
    begun = time.monotonic()
    said: dict[str, Any] = {"command": step.command, "conditions": step.conditions}
    try:
        said["results"] = step.work()
    except StepFailed as error:
        said |= {"results": error.rows, "failed": str(error), "printed": error.printed}
    except Exception as error:  # what the step printed is not what was expected
        said |= {"results": [], "failed": f"{type(error).__name__}: {error}"}
    return {**said, "seconds": round(time.monotonic() - begun)}


def nvidia_smi() -> str:
    """Name, driver and memory of the cards as NVIDIA's driver tells them, or nothing."""
    if not (tool := shutil.which("nvidia-smi")):
        return ""
    command = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode else done.stdout.strip()


def commit() -> str:
    about = REPOSITORY / "bundle.json"
    if about.is_file():
        return str(json.loads(about.read_text("utf-8"))["commit"])
    try:
        return git("rev-parse", "--short", "HEAD").decode().strip()
    except GpuError:
        return "unknown"


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="name", required=True)
    packing = commands.add_parser("pack", help="write a bundle of code and photographs")
    packing.add_argument("output", type=Path, help="bundle to write, a .tar.gz")
    packing.add_argument(
        "--photos", type=Path, required=True, help="folder of train*.tar, val.tar, manifest.csv"
    )
    packing.add_argument("--megabytes", type=float, default=BUNDLE_MB, help="its size at most")
    running = commands.add_parser("run", help="run tests, benchmarks and a training")
    add = running.add_argument
    add("--photos", type=Path, default=REPOSITORY / "photos", help="photographs to train on")
    add("--recipe", default=RECIPE, help="recipe's name, or a .toml file")
    add("--from", dest="start", help=f"weights to start from (of {RECIPE}: {START})")
    add("--minutes", type=float, default=20.0, help="length of the training")
    add("--precision", choices=("32", "bf16", "16"), help="precision instead of the recipe's")
    add("--only", action="append", default=[], metavar="STEP", help="run this step only; can be repeated")
    add("--cpu", action="store_true", help="rehearse on the CPU, very small")
    add(
        "--output",
        type=Path,
        help="folder for benchmarks/ and docs/ (the checkout; of a rehearsal, build/gpu)",
    )
    add("--work", type=Path, default=WORK, help="folder for everything else")
    add("--pip", action="append", default=[], metavar="ARGUMENT", help="for pip, as --pip=…")
    commands.add_parser("table", help="write the tables of docs/BENCHMARKS.md again")
    given = parser.parse_args(arguments)
    if given.name == "run":
        given.start = given.start or (START if given.recipe == RECIPE else None)
        given.photos, given.work = given.photos.resolve(), given.work.resolve()
        given.output = given.output or (given.work / "rehearsal" if given.cpu else REPOSITORY)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    given = arguments_of(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the step's processes end, too
    try:
        if given.name == "run":
            return run(given)
        if given.name == "pack":
            print(*pack(given.output, given.photos, given.megabytes), sep="\n")
        else:
            update(REPOSITORY / "docs" / "BENCHMARKS.md", REPOSITORY / "benchmarks")
    except GpuError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
