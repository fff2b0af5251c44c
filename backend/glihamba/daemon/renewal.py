"""A daemon that has long been idle becomes a new, small process, under the same process number.

PyTorch cannot be unloaded. What the network has left, some 400 MB, goes when the process is replaced by a new
one that has loaded nothing. That one keeps its port, what is known of the device, and since when it is idle.
See docs/decisions/idle-daemon.md.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import MutableMapping
from typing import NamedTuple, NoReturn

from glihamba.engine.device import Device
from glihamba_proto import messages

QUIET_SECONDS = 10.0  # without any call: between two pictures of a folder nobody wants to load PyTorch again
# Windows' exec ends the process and starts another one, which whoever waits for the first would not see.
IS_POSSIBLE = os.name == "posix"
VARIABLE = "GLIHAMBA_RENEWED"  # not a setting: only a daemon that replaces itself sets it


class Handover(NamedTuple):
    """What a daemon's new process knows from the one before."""

    port: int
    idle_seconds: float
    device: Device | None = None


def is_large() -> bool:
    """Whether this process holds PyTorch, which only a new one can be without."""
    return "torch" in sys.modules


def taken(environ: MutableMapping[str, str] = os.environ) -> Handover | None:
    """The handover, if this process has replaced a daemon's; the variable is taken away."""
    try:
        port, idle, device = json.loads(environ.pop(VARIABLE, ""))
        known = Device(device[0], device[1], messages.note_of_line(device[2])) if device else None
        return Handover(int(port), float(idle), known)
    except (ValueError, TypeError, IndexError):
        return None


def replace_process(handover: Handover) -> NoReturn:
    """Run this process's command anew, in its place. The daemon has been left: its lock and port are free.

    Raises OSError if the interpreter cannot be run any more.
    """
    port, idle, device = handover
    known = device and (*device[:2], messages.line_of(device.notice) if device.notice else "")
    environment = {**os.environ, VARIABLE: json.dumps([port, idle, known])}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    raise AssertionError("exec never returns")
