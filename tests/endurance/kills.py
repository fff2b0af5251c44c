"""Commands and daemons killed at random moments: `python tests/endurance/kills.py --kills 3000 --seed 1`.

Each round harmonizes a picture by the command line and kills the command, or the daemon under it, at a random
moment. What must hold: an output is whole or not there, no round leaves a lock or a half-written file behind
that the next one stumbles over, and a command whose daemon is killed brings the same picture as any other.

Commands are forked from this process, which has their modules loaded already, so a round takes well under a
second.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))

import numpy as np
from job_pictures import object_mask, picture
from served import by_command, home

from glihamba import cli
from glihamba.commands import harmonize
from glihamba_proto import endpoint

assert harmonize
ONE_IN = 20  # rounds kill the daemon instead of the command


def command(words: list[str]) -> int:
    """Fork a process that runs the command; returns its process id."""
    child = os.fork()
    if child:
        return child
    quiet = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(quiet, number)
    try:
        cli.main(words)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        os._exit(99)
    os._exit(0)


def written(folder: Path) -> list[str]:
    """Two pictures and a mask, by a process of its own: libvips must not be loaded in the one that forks."""
    child = os.fork()
    if not child:
        from PIL import Image

        Image.fromarray(picture(300, 400)).save(folder / "in.png")
        Image.fromarray(np.asarray(object_mask(300, 400))).save(folder / "mask.png")
        os._exit(0)
    os.waitpid(child, 0)
    output = folder / "out"
    output.mkdir()
    return [
        "harmonize",
        str(folder / "in.png"),
        "--mask",
        str(folder / "mask.png"),
        "-o",
        str(output / "out.png"),
    ]


def process(folder: Path) -> int:
    found = endpoint.read(folder / "run" / "endpoint.json")
    return found.pid if found else 0


def run(kills: int, seed: int, seconds: float) -> dict[str, Any]:
    """Kill so often, or as often as fits into the seconds. Returns what happened."""
    dice, ends = random.Random(seed), Counter[str]()
    with home() as folder:
        words = written(folder)
        output = Path(words[-1])
        begun = time.monotonic()
        assert os.waitpid(command(words), 0)[1] == 0
        wanted, usual = output.read_bytes(), 0.5
        done = 0
        while done < kills and time.monotonic() < begun + seconds:
            output.unlink(missing_ok=True)
            started = time.monotonic()
            child = command(words)
            is_daemon = dice.random() < 1 / ONE_IN
            time.sleep(dice.random() * usual * 1.2)
            victim = process(folder) if is_daemon else child
            with contextlib.suppress(ProcessLookupError):
                if victim:
                    os.kill(victim, signal.SIGKILL)
                    done += 1
            status = os.waitpid(child, 0)[1]
            if is_daemon:
                assert status == 0, status
                assert output.read_bytes() == wanted
                ends["daemon killed, picture there"] += 1
            elif status == 0:
                usual = 0.9 * usual + 0.1 * min(5.0, time.monotonic() - started)
                assert output.read_bytes() == wanted
                ends["command done before the kill"] += 1
            else:
                assert not output.exists() or output.read_bytes() == wanted
                ends["command killed, picture there" if output.exists() else "command killed, none"] += 1
        output.unlink(missing_ok=True)
        assert os.waitpid(command(words), 0)[1] == 0
        assert output.read_bytes() == wanted
        left = sorted(path.name for path in output.parent.iterdir())
        assert left == ["out.png"], left
        return {
            "seed": seed,
            "kills": done,
            "ends": dict(ends.most_common()),
            "seconds": round(time.monotonic() - begun),
        }


if __name__ == "__main__":
    by_command(run, __doc__, "kills", 3000)
