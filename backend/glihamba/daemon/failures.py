"""The one place where failures become gRPC statuses."""

from __future__ import annotations

from typing import NoReturn

import grpc

from glihamba.engine.contract import noted
from glihamba.errors import HarmonizeError
from glihamba_proto.messages import ERROR_KEY, NOTE_KEY

STATUS = {
    "BAD_REQUEST": grpc.StatusCode.INVALID_ARGUMENT,
    "SIZE_MISMATCH": grpc.StatusCode.INVALID_ARGUMENT,
    "EMPTY_MASK": grpc.StatusCode.INVALID_ARGUMENT,
    "FULL_MASK": grpc.StatusCode.INVALID_ARGUMENT,
    "NOT_FINITE": grpc.StatusCode.INVALID_ARGUMENT,
    "TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "QUEUE_FULL": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "OUT_OF_MEMORY": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "UNKNOWN_MODEL": grpc.StatusCode.NOT_FOUND,
    "MODEL_NOT_INSTALLED": grpc.StatusCode.FAILED_PRECONDITION,
    "MODEL_DAMAGED": grpc.StatusCode.FAILED_PRECONDITION,
    "BAD_TOKEN": grpc.StatusCode.UNAUTHENTICATED,
    "SHUTTING_DOWN": grpc.StatusCode.UNAVAILABLE,
    "CANCELLED": grpc.StatusCode.CANCELLED,
    "CLIENT_TOO_NEW": grpc.StatusCode.UNIMPLEMENTED,
    "NOT_ALLOWED": grpc.StatusCode.PERMISSION_DENIED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


_LONGEST = 1_000  # characters of a sentence: it may quote what a client sent


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST else sentence[: _LONGEST - 1] + "…"


def abort(context: grpc.ServicerContext, error: HarmonizeError) -> NoReturn:
    """End the call with the error's status and sentence, and its code and note in the trailing metadata."""
    note = noted(error.note).SerializeToString()
    context.set_trailing_metadata(((ERROR_KEY, error.code), (NOTE_KEY, note)))
    context.abort(STATUS[error.code], _cut(str(error)))
    raise AssertionError("abort never returns")
