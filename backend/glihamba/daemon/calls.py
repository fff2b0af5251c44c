"""What every call must pass before the service sees it: the token, and a first message that can be read."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from glihamba.daemon.failures import abort
from glihamba.errors import BadRequest, BadToken, HarmonizeError

_log = logging.getLogger(__name__)

MESSAGE_LIMIT = 8 << 20  # bytes of one message
TOLD_EVERY = 60.0  # seconds between two lines of the log about refused tokens


class Calls(grpc.ServerInterceptor):
    """Lets a call through if it carries one of the tokens; `note` hears of each that is not refused.

    A call of one message whose message does not come within `patience` seconds is ended by `end_silent`.
    """

    def __init__(self, tokens: list[str], note: Callable[[], None], patience: float) -> None:
        self._wanted = [f"Bearer {token}".encode() for token in tokens]
        self._note, self._patience = note, patience
        self._silent: dict[object, tuple[float, Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._refused, self._told = 0, time.monotonic()
        self._answering = 0

    @property
    def is_answering(self) -> bool:
        """Whether a call of one message is being answered."""
        return self._answering > 0

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), None)
        if given is not None and self._is_right(given.encode()):
            return self._guarded(continuation(details))
        with self._lock:
            self._refused += 1
        error = BadToken(case="MISSING" if given is None else "")
        return _refusal(error)

    def end_silent(self) -> None:
        """End the calls whose message has not come in time, and tell the log of refused tokens."""
        now = time.monotonic()
        with self._lock:
            late = [end for deadline, end in self._silent.values() if now > deadline]
            refused = self._refused if now > self._told + TOLD_EVERY else 0
            if refused:
                self._refused, self._told = 0, now
        for end in late:
            end()
        if refused:
            _log.warning("calls without the right token were refused", extra={"calls": refused})

    def _is_right(self, given: bytes) -> bool:
        right = [hmac.compare_digest(given, wanted) for wanted in self._wanted]  # no token before another
        return any(right)

    def _guarded(self, handler: Any) -> Any:
        """The same handler, which gets its messages as bytes and decodes them itself."""
        if handler is None or not (handler.unary_unary or handler.stream_stream):
            return handler
        if handler.stream_stream:

            def stream(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
                yield from handler.stream_stream(_decoded(messages, handler.request_deserializer), context)
                self._note()

            return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)

        def unary(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            try:
                with self._awaited(context.cancel):
                    message = next(_decoded(messages, handler.request_deserializer), None)
                if message is None:
                    raise BadRequest(case="STREAM_EMPTY")
            except HarmonizeError as error:
                abort(context, error)
            with self._counted():
                answer = handler.unary_unary(message, context)
            self._note()
            return answer

        return grpc.stream_unary_rpc_method_handler(unary, None, handler.response_serializer)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._answering += 1
        try:
            yield
        finally:
            with self._lock:
                self._answering -= 1

    @contextmanager
    def _awaited(self, end: Callable[[], object]) -> Iterator[None]:
        key = object()
        with self._lock:
            self._silent[key] = time.monotonic() + self._patience, end
        try:
            yield
        finally:
            with self._lock:
                del self._silent[key]


def _decoded(messages: Iterator[bytes], decode: Callable[[bytes], Any]) -> Iterator[Any]:
    """The messages; raises BadRequest at one that is too long or no message."""
    for data in messages:
        if len(data) > MESSAGE_LIMIT:
            raise BadRequest(case="MESSAGE_LARGE", bytes=len(data), limit=MESSAGE_LIMIT)
        try:
            message = decode(data)
        except DecodeError:
            raise BadRequest(case="UNREADABLE") from None
        del data
        yield message


def _refusal(error: HarmonizeError) -> Any:
    # A stream's handler refuses at once, where a unary one would wait for a message first.
    return grpc.stream_stream_rpc_method_handler(lambda _, context: abort(context, error))
