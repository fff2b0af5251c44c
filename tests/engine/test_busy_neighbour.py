"""A job shares the processor with a busy editor, so its threads must not spin while they wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

SECONDS = 1.5  # of a window in which rounds are counted
WINDOWS = 3  # of each kind, in turn
MOST = 2.5  # times fewer rounds beside a neighbour; spinning threads make it 20

ROUNDS = """
import sys, time
import numpy as np
from glihamba.models import load
from glihamba.pipeline.harmonize import harmonize
network = load()
composite = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
mask = np.zeros((3000, 4000), np.uint8)
mask[1000:2000, 1500:2500] = 255
harmonize(composite, mask, network)
print("ready", flush=True)
for line in sys.stdin:
    end, rounds = time.monotonic() + float(line), 0
    while time.monotonic() < end:
        harmonize(composite, mask, network)
        rounds += 1
    print(rounds, flush=True)
"""
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
ASK = f"import os, glihamba; print([os.environ.get(name) for name in {NAMES}])"


def unset() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NAMES}


def asked(**environment: str) -> str:
    command = [sys.executable, "-c", ASK]
    return subprocess.run(
        command, env={**unset(), **environment}, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_threads_wait_asleep_unless_a_person_says_otherwise() -> None:
    assert asked() == "['passive', '0', '0']"
    assert asked(OMP_WAIT_POLICY="active") == "['active', None, None]"
    assert asked(KMP_BLOCKTIME="200") == "[None, None, '200']"


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes all the time, stopped until it is sent SIGCONT."""
    one = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    one.send_signal(signal.SIGSTOP)
    yield one
    one.kill()
    one.wait()


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    one = subprocess.Popen(
        [sys.executable, "-c", ROUNDS], env=unset(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with one:
        yield one
        one.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="stops and continues its neighbour by signals")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has no threads that wait for each other")
def test_a_busy_neighbour_takes_its_share_and_no_more(
    worker: subprocess.Popen[str], neighbour: subprocess.Popen[bytes]
) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    rounds = {signal.SIGSTOP: 0, signal.SIGCONT: 0}
    for state in list(rounds) * WINDOWS:
        neighbour.send_signal(state)
        print(SECONDS, file=worker.stdin, flush=True)
        rounds[state] += int(worker.stdout.readline())
    assert rounds[signal.SIGSTOP] < MOST * rounds[signal.SIGCONT], rounds
