"""The reasons a harmonization can fail.

The codes are those of the contract (`glihamba.v1.ErrorCode`). The sentences are in the catalogue
(`glihamba_proto/locale`). A failure that only the command line knows may bring its own English sentence. The
daemon turns a failure into a gRPC status, and the command line into an exit status. No module below the
daemon uses gRPC.
"""

from __future__ import annotations

import errno
import sys

from glihamba_proto.errors import Failure
from glihamba_proto.messages import Note


class HarmonizeError(Failure):
    """A failure that a person can understand. `str(error)` is one English sentence that says what to do.

    `code` is a name from `glihamba.v1.ErrorCode`. `Failure` explains the arguments.
    """

    code = "INTERNAL"

    def __init__(self, detail: str = "", *, case: str = "", **fields: object) -> None:
        super().__init__(type(self).code, detail, case=case, **fields)


class BadRequest(HarmonizeError):
    code = "BAD_REQUEST"


class SizeMismatch(HarmonizeError):
    code = "SIZE_MISMATCH"


class EmptyMask(HarmonizeError):
    code = "EMPTY_MASK"


class FullMask(HarmonizeError):
    code = "FULL_MASK"


class NotFinite(HarmonizeError):
    code = "NOT_FINITE"


class TooLarge(HarmonizeError):
    code = "TOO_LARGE"


class QueueFull(HarmonizeError):
    code = "QUEUE_FULL"


class OutOfMemory(HarmonizeError):
    code = "OUT_OF_MEMORY"


class UnknownModel(HarmonizeError):
    code = "UNKNOWN_MODEL"


class ModelNotInstalled(HarmonizeError):
    code = "MODEL_NOT_INSTALLED"


class ModelDamaged(HarmonizeError):
    code = "MODEL_DAMAGED"


class BadToken(HarmonizeError):
    code = "BAD_TOKEN"


class NotAllowed(HarmonizeError):
    code = "NOT_ALLOWED"


class ClientTooNew(HarmonizeError):
    code = "CLIENT_TOO_NEW"


class ShuttingDown(HarmonizeError):
    code = "SHUTTING_DOWN"


class Cancelled(HarmonizeError):
    code = "CANCELLED"


_OF_A_REQUEST = {
    kind.code: kind for kind in (BadRequest, SizeMismatch, EmptyMask, FullMask, NotFinite, TooLarge)
}


def refuse(problem: Note | None) -> None:
    """Raise the HarmonizeError for what `glihamba_proto.checks` has found, if anything."""
    if problem is not None:
        code, _, case = problem.message.partition(".")
        raise _OF_A_REQUEST[code](case=case, **problem.fields)


# How torch's CPU allocator, cuBLAS, oneDNN and C++ say it: they have no error class of their own.
_OUT_OF_MEMORY = (
    *("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "could not create a memory object"),
    *("could not create a primitive", "std::bad_alloc", "annot allocate memory"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if Python, numpy or torch reports with this error that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # not imported here: if torch is not loaded, it did not fail
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _OUT_OF_MEMORY)
