"""Where a daemon answers and what it wants to see first."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from glihamba_client import paths
from glihamba_client.errors import ClientError
from glihamba_client.settings import Settings


@dataclass(frozen=True)
class Endpoint:
    """A daemon's address. `instance` and `pid` are empty for a daemon on another machine.

    `certificate` is the PEM file to trust; `tls` without one trusts the system's authorities.
    """

    host: str
    port: int
    token: str = field(repr=False)  # it must not reach a log or a traceback
    instance: str = ""
    pid: int = 0
    tls: bool = False
    certificate: str = ""

    @property
    def is_remote(self) -> bool:
        return not self.instance

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def local(path: Path | None = None) -> Endpoint | None:
    """What the endpoint file names, or None: no file, garbage, half a file. It may well be stale."""
    try:
        values = json.loads((path or paths.endpoint_file()).read_text("utf-8"))
        endpoint = Endpoint(
            str(values["host"]),
            int(values["port"]),
            str(values["token"]),
            str(values["instance"]),
            int(values["pid"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return endpoint if 0 < endpoint.port < 65536 and endpoint.instance else None


def remote(settings: Settings) -> Endpoint:
    """The daemon on another machine that the settings name; raises `ClientError`."""
    host, _, port = settings.remote.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClientError("BAD_ADDRESS", address=settings.remote)
    for path in filter(None, (settings.token_file, settings.ca_file)):
        if not Path(path).is_file():
            raise ClientError("FILE_MISSING", path=path)
    token = _token(Path(settings.token_file)) if settings.token_file else ""
    return Endpoint(host.strip("[]"), int(port), token, tls=True, certificate=settings.ca_file)


def _token(path: Path) -> str:
    """What the file says, if it can go into a header; raises `ClientError` TOKEN_FILE_BAD."""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token or not token.isprintable():
        raise ClientError("TOKEN_FILE_BAD", path=path)
    return token
