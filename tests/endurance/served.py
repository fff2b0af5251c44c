"""A real daemon in a process of its own for the endurance runs, with its memory and descriptors."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil

from glihamba_proto import endpoint, interpreter
from glihamba_proto import harmonizer_pb2 as pb

SERVE = interpreter.module(sys.executable, "glihamba", "serve", "--device", "cpu")
PATIENCE = 300.0  # seconds


def by_command(run: Callable[[int, int, float], Any], about: str, count: str, default: int) -> None:
    """What a script does when it is called: `run` so many rounds from a seed, and print what it returns."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(f"--{count}", dest="count", type=int, default=default)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    print(json.dumps(run(options.count, options.seed, options.seconds)))


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A data folder for the run; the environment points to it, and what was started in it ends."""
    with tempfile.TemporaryDirectory(prefix="glihamba-endurance-") as name:
        folder = Path(name)
        os.environ |= {"GLIHAMBA_DATA_DIR": name, "GLIHAMBA_DEFAULT_MODEL": "statistics"}
        os.environ["GLIHAMBA_EXIT_MINUTES"] = "5"
        try:
            yield folder
        finally:
            with contextlib.suppress(psutil.Error, AttributeError):
                psutil.Process(endpoint.read(folder / "run" / "endpoint.json").pid).kill()  # type: ignore[union-attr]


class Served:
    """A daemon that serves `folder` until it is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Served:
        self.process = subprocess.Popen(SERVE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.measured = psutil.Process(self.process.pid)
        deadline = time.monotonic() + PATIENCE
        while True:
            found = endpoint.read(self.folder / "run" / "endpoint.json")
            if found is not None and found.pid == self.process.pid:
                break
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.endpoint = found
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def state(self) -> tuple[float, int]:
        """Megabytes of memory, and descriptors."""
        descriptors = self.measured.num_fds() if hasattr(self.measured, "num_fds") else 0
        return self.measured.memory_info().rss / 1e6, descriptors

    def growth(self, settled: tuple[float, int]) -> dict[str, Any]:
        """What the daemon held when it had settled, and what it holds now."""
        now = self.state()
        return {
            "megabytes": [round(settled[0]), round(now[0])],
            "descriptors": [settled[1], now[1]],
            "log_bytes": sum(path.stat().st_size for path in (self.folder / "logs").glob("*")),
        }

    def check_flat(self, facts: dict[str, Any]) -> None:
        """Fail if what `growth` found has grown."""
        (before, after), (few, many) = facts["megabytes"], facts["descriptors"]
        assert after < before + 60, facts
        assert many < few + 20, facts
        assert facts["log_bytes"] < 10 << 20, facts

    def quiet(self) -> None:
        """Wait until the daemon has no job, and has closed the connections of those who left."""
        call = grpc.insecure_channel(str(self.endpoint)).unary_unary(
            "/glihamba.v1.Harmonizer/GetServerInfo",
            pb.GetServerInfoRequest.SerializeToString,
            pb.ServerInfo.FromString,
        )
        right = (("authorization", f"Bearer {self.endpoint.token}"),)
        deadline = time.monotonic() + PATIENCE
        while (info := call(pb.GetServerInfoRequest(), metadata=right)).job_running or info.jobs_waiting:
            assert time.monotonic() < deadline
            time.sleep(0.1)
