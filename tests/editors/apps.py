"""A real editor under Xvfb, this system's or another Debian's in a folder, and the cases that run in it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glihamba import demo

REPOSITORY = Path(__file__).resolve().parents[2]
SCREEN = "1280x800x24"

# Another Debian in a folder, made by debian_root.sh, sees these of our folders at their own places, and all
# of this system below /.host. Its mounts end with the program.
_IN_ROOT = """
root=$1 here=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mkdir -p .host "./$here"
mount -t proc proc proc
for place in /dev /tmp "$here"; do mount --rbind "$place" "./$place"; done
/usr/sbin/pivot_root . .host
exec "$@"
"""
_ON_THE_HOST = ("/usr/sbin/chroot", "/.host")


def in_root(root: str, command: Sequence[str]) -> list[str]:
    """Return the command that runs inside the Debian in that folder, or the same command without a folder."""
    if not root:
        return list(command)
    apart = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", _IN_ROOT]
    return [*apart, "in-root", root, str(REPOSITORY), *command]


def serve(root: str) -> list[str]:
    """How the daemon, which is always this system's, is started from inside the root, if there is one."""
    return [*(_ON_THE_HOST if root else ()), sys.executable, "-m", "glihamba", "serve", "--device", "cpu"]


def start_xvfb(prefix: Sequence[str] = ()) -> tuple[subprocess.Popen[bytes], str]:
    """A virtual screen on a display that is free.

    Each process tries displays of its own: an Xvfb that ends takes away the socket of another one that has
    just got the same display. `prefix` is a command that starts it, e.g. one of `in_root`.
    """
    for attempt in range(5):
        reading, writing = os.pipe()
        display = f":{100 + (os.getpid() * 5 + attempt) % 50_000}"
        command = [*prefix, "Xvfb", display, "-displayfd", str(writing), "-screen", "0", SCREEN]
        command += ["-nolisten", "tcp"]
        quiet = subprocess.DEVNULL
        xvfb = subprocess.Popen(command, pass_fds=(writing,), stdin=quiet, stdout=quiet, stderr=quiet)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            number = pipe.readline().strip().decode()
        if number and answers(number):
            return xvfb, f":{number}"
        xvfb.terminate()
        xvfb.wait(20)
    raise RuntimeError("Xvfb does not start")


def answers(number: str) -> bool:
    """Whether an X server listens at that display."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(f"/tmp/.X11-unix/X{number}")
        except OSError:
            return False
    return True


def cases_of(script: Path) -> list[str]:
    """The names of a script's cases, without running it."""
    return re.findall(r"^def case_(\w+)", script.read_text("utf-8"), re.M)


def check(report: Mapping[str, Any], case: str) -> dict[str, Any]:
    """Return a case's facts. Fails with the failure inside the editor."""
    assert case in report["cases"], report.get("ended", "the case did not run")
    result = report["cases"][case]
    assert not result["error"], result["error"]
    facts: dict[str, Any] = result["facts"]
    return facts


def told(script: Path, folder: Path, cases: Sequence[str]) -> dict[str, str]:
    """The environment that tells a driver what to run, and where to leave its report."""
    (folder / "report.json").unlink(missing_ok=True)
    return {
        "GLIHAMBA_TEST_HELPERS": str(Path(__file__).resolve().parent),
        "GLIHAMBA_TEST_SCRIPT": str(script),
        "GLIHAMBA_TEST_FOLDER": str(folder),
        "GLIHAMBA_TEST_CASES": " ".join(cases),
    }


def reported(folder: Path, log: str, status: int) -> dict[str, Any]:
    """Return the driver's report. Fails if it could not run any case."""
    report = folder / "report.json"
    said = (folder / log).read_text("utf-8", "replace")[-6000:]
    assert report.exists(), f"The editor ended with status {status} and no report:\n{said}"
    values: dict[str, Any] = json.loads(report.read_text("utf-8"))
    assert "error" not in values, values["error"]
    if "finished" not in values:
        values["ended"] = f"The editor ended with status {status} before this case:\n{said}"
    return values


def left(folder: Path, case: str, *names: str, size: Sequence[int]) -> list[np.ndarray]:
    """Pictures that a case has left as bytes: (H,W,4) in the editor's own order, or (H,W) for a mask."""
    width, height = size
    return [
        np.fromfile(folder / f"{case}.{name}", np.uint8).reshape(height, width, -1).squeeze()
        for name in names
    ]


def demo_layers(folder: Path, order: str) -> str:
    """The composite that ships, as bytes and PNGs: `scene`, and `drum` cut out; returns "width height"."""
    composite, mask = Image.open(demo.COMPOSITE), Image.open(demo.MASK).convert("L")
    for name, alpha in (("scene", Image.new("L", mask.size, 255)), ("drum", mask)):
        layer = composite.convert("RGB")
        layer.putalpha(alpha)
        layer.save(folder / f"{name}.png")
        (folder / f"{name}.{order.lower()}").write_bytes(layer.tobytes("raw", order))
    return "{} {}".format(*mask.size)


def figures(report: Mapping[str, Any], case: str, artefacts: Path) -> tuple[str, dict[str, Any]]:
    """What a benchmark's case has measured, and a line that says so; kept beside the screenshots too."""
    ((name, measured),) = check(report, case).items()
    measured = {**measured, "load": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}
    (artefacts / f"{case}.json").write_text(json.dumps({name: measured}, indent=1))
    return f"\n{name}: " + ", ".join(f"{what} {value}" for what, value in measured.items()), measured


def harmonized(composite: np.ndarray, mask: np.ndarray, folder: Path, model: str) -> np.ndarray:
    """What `glihamba harmonize` makes of the same pixels, (H,W,3|4) RGB and (H,W) of 8 bits; (H,W,3) RGB."""
    Image.fromarray(np.ascontiguousarray(composite[..., :3])).save(folder / "composite.png")
    Image.fromarray(mask).save(folder / "mask.png")
    command = [sys.executable, "-m", "glihamba", "harmonize", str(folder / "composite.png")]
    command += ["--mask", str(folder / "mask.png"), "-o", str(folder / "out.png"), "--model", model]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.asarray(Image.open(folder / "out.png"))
