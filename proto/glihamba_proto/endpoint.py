"""The file that says where this person's daemon answers, and the record that it holds.

The file is a JSON object that only its owner may read. It is there while a daemon runs. A daemon that was
killed leaves it behind: then nothing answers at its port, or what answers has another instance.

    {"host": "127.0.0.1", "port": 43817, "token": "...", "instance": "...", "pid": 4711,
     "version": "0.1.0", "protocol": 1, "started": 1767225600.0, "socket": "daemon.sock"}

It always names a plain loopback port: a daemon that serves a network speaks TLS at another port. `socket` is
there where the system has Unix sockets: the name of one beside the file, which only its owner may connect to.
Readers ignore members that they do not know. `glihamba_proto.places` says where the file lies.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from glihamba_proto import documents
from glihamba_proto.files import replacing

_NEEDED = ("host", "port", "token", "instance", "pid")
_OPTIONAL = ("version", "protocol", "started", "socket")


@dataclass(frozen=True)
class Endpoint:
    """Where a daemon answers and what it wants to see first.

    `started` is in seconds since 1970. A daemon on another machine has neither `instance` nor `pid`. With
    `tls` the client trusts the PEM file `certificate`, or the system's authorities if that is empty. `socket`
    is a file's name in the runtime folder, or empty.
    """

    host: str
    port: int
    token: str = field(repr=False)  # it must not reach a log or a traceback
    instance: str = ""
    pid: int = 0
    version: str = ""
    protocol: int = 0
    started: float = 0.0
    tls: bool = False
    certificate: str = ""
    socket: str = ""

    @property
    def is_remote(self) -> bool:
        return not self.instance

    def __str__(self) -> str:
        return address(self.host, self.port)


def address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"


def read(path: Path) -> Endpoint | None:
    """The endpoint in the file, which may be stale; None if there is no file or it is damaged."""
    try:
        table = documents.read(path)
        values = {name: table[name] for name in _NEEDED}
        values |= {name: table[name] for name in _OPTIONAL if name in table}
        values |= {"port": int(values["port"]), "pid": int(values["pid"])}
        values |= {name: str(values.get(name, "")) for name in ("host", "token", "instance", "socket")}
        found = Endpoint(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if 0 < found.port < 65536 and found.instance else None


def write(path: Path, endpoint: Endpoint) -> None:
    """Replace the file in one step by one that only its owner can read; raises OSError."""
    table = asdict(endpoint)
    kept = {name: table[name] for name in _NEEDED + _OPTIONAL if table[name] != ""}
    with replacing(path, private=True) as part:
        part.write_text(json.dumps(kept, indent=1), "utf-8")


def remove(path: Path, instance: str) -> None:
    """Remove the file if it is still `instance`'s: a successor's must stay."""
    found = read(path)
    if found and found.instance == instance:
        path.unlink(missing_ok=True)
