"""The environment in which gpu.py runs its steps, and the processes of these. See gpu.py."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "gpu"
ROOMS = ("backend", "training", "proto", "plugins/shared")
TEST_PACKAGES = ("pytest", "pytest-timeout", "hypothesis", "psutil", "cryptography", "triton")
FACTS = """
import importlib.metadata as m, json, os, shutil, torch
from glihamba.engine.device import cpu_name
there = torch.cuda.is_available()
versions = {n: m.version(n) for n in ("torch", "triton") if any(m.distributions(name=n))}
name = torch.cuda.get_device_name() if there else ""
compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), "none")
print(json.dumps({"name": name, **versions, "cuda": torch.version.cuda, "compiler": compiler,
    "processor": f"{cpu_name()}, {os.cpu_count()} cores"}))
"""

PRINTED = 6000  # characters of a failed step's output that are kept

Row = dict[str, Any]


class GpuError(Exception):
    """One sentence that says what is wrong and what to do."""


class StepFailed(Exception):
    """Why a step has no result, or not all of it. rows: what it measured. printed: the end of its output."""

    def __init__(self, sentence: str, rows: Sequence[Row] = (), printed: str = "") -> None:
        super().__init__(sentence)
        self.rows, self.printed = list(rows), printed[-PRINTED:]


@dataclass
class Machine:
    """Runs commands of this checkout. python: what has all packages. cpu: this is a rehearsal. work: its own
    folder, for all that the commands write.
    """

    cpu: bool
    work: Path = WORK
    python: str = sys.executable
    facts: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIHAMBA_")}
        device = (
            {"CUDA_VISIBLE_DEVICES": "", "GLIHAMBA_DEVICE": "cpu"}
            if self.cpu
            else {"GLIHAMBA_DEVICE": "cuda"}
        )
        return {
            **kept,
            **device,
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / room) for room in ROOMS),
            "GLIHAMBA_DATA_DIR": str(self.work / "data"),
            "XDG_CACHE_HOME": str(self.work / "cache"),  # decoded pictures and compiled kernels
            "TRITON_CACHE_DIR": str(self.work / "triton"),
        }

    def call(self, words: Sequence[str], minutes: float, **variables: str) -> tuple[int, str, str]:
        """Exit status, output and error output. Raises StepFailed after `minutes`, with everything ended."""
        child = subprocess.Popen(
            [self.python, *words],
            cwd=REPOSITORY,
            env={**self.environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, errors = child.communicate(timeout=60 * minutes)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)  # its own session: nothing of others
            output, errors = child.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            said = f"It was ended after its limit of {minutes:g} minutes."
            raise StepFailed(said, printed=output + errors) from None
        return child.returncode, output, errors

    def glihamba(self, words: Sequence[str], minutes: float) -> str:
        """What a command of glihamba prints. Raises StepFailed."""
        status, output, errors = self.call(["-m", "glihamba", *words], minutes)
        if status:
            raise StepFailed(f"It ended with status {status}: {last_line(errors or output)}", (), errors)
        return output

    def json(self, words: Sequence[str], minutes: float) -> Any:
        """What a command of glihamba prints as JSON. Raises StepFailed."""
        return json.loads(self.glihamba([*words, "--json"], minutes))


def last_line(text: str) -> str:
    return (text.strip() or "no output").splitlines()[-1][:300]


def install(machine: Machine, pip: Sequence[str], missing: Sequence[str]) -> list[Row]:
    """Have pip install `missing` into an environment that sees what this Python has. Raises StepFailed."""
    environment = machine.work / "env"
    status, output, errors = machine.call(["-m", "venv", str(environment)], 5)
    if status:
        raise StepFailed("This Python makes no environments: install its venv module.", (), output + errors)
    own = Machine(machine.cpu, machine.work, str(environment / "bin" / "python"))
    _, folder, _ = own.call(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], 1)
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    Path(folder.strip(), "parent.pth").write_text("\n".join(here) + "\n", "utf-8")
    status, output, errors = own.call(["-m", "pip", "install", *pip, *missing], 30)
    if status:
        sentence = f"pip could not install {', '.join(missing)}: {last_line(errors)}"
        raise StepFailed(sentence, (), output + errors)
    machine.python = own.python
    return [{"installed": len(missing)}]


def look(machine: Machine) -> None:
    """Set the machine's facts. Raises GpuError where nothing can be run."""
    status, output, errors = machine.call(["-c", FACTS], 5)
    if status:
        raise GpuError(f"PyTorch cannot be imported, so nothing can be run: {last_line(errors)}")
    machine.facts = json.loads(output)
    if not (machine.cpu or machine.facts["name"]):
        raise GpuError("PyTorch does not see the GPU: it is a build without CUDA, or the driver is too old.")


def missing_packages() -> list[str]:
    """The requirements of pyproject.toml that a run needs and this Python does not have.

    A version that differs is kept, since pip might replace a PyTorch that fits the driver. The record states
    PyTorch's and Triton's.
    """
    from importlib.metadata import PackageNotFoundError, version

    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = {name_of(line): line for line in extras["test"]}
    wanted = [*project["dependencies"], *extras["train"], *(named[name] for name in TEST_PACKAGES)]
    missing = []
    for line in wanted:
        try:
            version(name_of(line))
        except PackageNotFoundError:
            missing += [line] if "python_version" not in line else []  # what Python 3.11 brings itself
    return missing


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~!; ]", requirement)[0]
