"""Where the daemon on another machine answers, by a person's settings."""

from __future__ import annotations

from pathlib import Path

from glihamba_client.errors import ClientError
from glihamba_client.settings import Settings
from glihamba_proto.endpoint import Endpoint


def endpoint(settings: Settings) -> Endpoint:
    """The daemon that the settings name; raises `ClientError`."""
    host, _, port = settings.remote.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClientError("BAD_ADDRESS", address=settings.remote)
    for path in filter(None, (settings.token_file, settings.ca_file)):
        if not Path(path).is_file():
            raise ClientError("FILE_MISSING", path=path)
    token = _token(Path(settings.token_file)) if settings.token_file else ""
    return Endpoint(host.strip("[]"), int(port), token, tls=True, certificate=settings.ca_file)


def _token(path: Path) -> str:
    """The file's token, if it can go into a header; raises `ClientError` TOKEN_FILE_BAD."""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token or not token.isprintable():
        raise ClientError("TOKEN_FILE_BAD", path=path)
    return token
