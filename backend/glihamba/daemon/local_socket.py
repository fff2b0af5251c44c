"""The Unix socket of this machine's own clients: nobody but the daemon's owner can connect to it.

Any account of the machine can hold the connections of the loopback port, which must not lock the owner out.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

_log = logging.getLogger(__name__)

LONGEST = 100  # bytes of a path that every system takes


def bind(path: Path, add: Callable[[str], int]) -> str:
    """Bind `path` for its owner alone; returns its name, or nothing where there can be no such socket.

    add: takes gRPC's name of a socket and returns 0 if it could not bind. The caller holds the lock of the
    one daemon, so a socket that is there is a dead one's.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix" or len(os.fsencode(path)) > LONGEST:
        return ""
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        is_bound = add(f"unix:{quote(str(path))}") != 0
    except (OSError, RuntimeError) as error:
        _log.warning("there is no local socket", extra={"path": path, "reason": str(error)})
        return ""
    finally:
        os.umask(before)
    return path.name if is_bound else ""
