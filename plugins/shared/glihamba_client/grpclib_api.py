"""What is used of grpclib that grpclib does not document: all of it is here.

`tests/test_private_apis.py` fails when one of these moves. Without them calls still work, but a lost machine
or a stopped daemon is noticed late, and a refusal that ends with a reset loses its sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from grpclib.config import Configuration
from grpclib.metadata import decode_metadata


def socket_of(stream: Any) -> Any:
    """The socket of a call's connection, or None before there is one. It may set options and nothing else."""
    transport = getattr(stream.peer, "_transport", None)
    return transport.get_extra_info("socket") if transport is not None else None


def metadata_of(stream: Any) -> Iterator[Mapping[str, Any]]:
    """The metadata that a call has received, trailing first: text, or bytes where a key ends in -bin.

    When a stream is reset right after its trailers, grpclib keeps them but does not show them.
    """
    raw = getattr(stream, "_stream", None)
    for headers in (getattr(raw, "trailers", None), getattr(raw, "headers", None)):
        if headers:
            yield dict(decode_metadata(headers))


def pinging(every: float, patience: float) -> Configuration | None:
    """A connection's configuration: an HTTP/2 ping `every` so many seconds, and its end without an answer.

    None where grpclib has no such thing any more.
    """
    try:
        return Configuration(
            _keepalive_time=every,
            _keepalive_timeout=patience,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=every / 2,
        )
    except TypeError:
        return None
