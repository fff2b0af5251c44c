"""The daemon that a benchmark measures: started for it alone, and asked for its memory."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glihamba.commands.common import serve_command


@contextmanager
def own_daemon() -> Iterator[Any]:
    """Yield the service of a daemon that only this benchmark uses, so that no other job uses its memory."""
    from glihamba_client.service import DaemonService
    from glihamba_proto import endpoint, places

    before = {name: os.environ.get(name) for name in ("GLIHAMBA_RUNTIME_DIR", "GLIHAMBA_LOG_DIR")}
    with tempfile.TemporaryDirectory(prefix="glihamba-bench-", ignore_cleanup_errors=True) as folder:
        os.environ.update(dict.fromkeys(before, folder))
        try:
            yield DaemonService(command=serve_command())
        finally:
            if found := endpoint.read(places.endpoint_file()):
                from glihamba.commands.daemon import end

                end(found)
            for name, value in before.items():
                os.environ.pop(name)
                os.environ.update({name: value} if value is not None else {})


def daemon_peak_mb() -> int | None:
    """Return the daemon's peak resident memory so far, in MB. None on systems other than Linux."""
    from glihamba_proto import endpoint, places

    found = endpoint.read(places.endpoint_file())
    if found is None or sys.platform != "linux":
        return None
    lines = Path(f"/proc/{found.pid}/status").read_text("utf-8").splitlines()
    return next((int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM:")), None)
