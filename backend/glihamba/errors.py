"""The reasons a harmonization can fail, each with the sentence a person reads.

The codes are the contract's closed set (`glihamba.v1.ErrorCode`); the daemon turns them into gRPC
statuses, the command line into exit codes. Nothing below the daemon knows gRPC.
"""

from __future__ import annotations

import sys


class HarmonizeError(Exception):
    """A failure the person can understand. `str(error)` is one sentence that says what to do.

    `code` is a name from `glihamba.v1.ErrorCode`.
    """

    code = "INTERNAL"


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

    def __init__(
        self,
        sentence: str = "There is not enough memory: close other programs, or harmonize a smaller picture.",
    ) -> None:
        super().__init__(sentence)


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


def is_out_of_memory(error: BaseException) -> bool:
    """True for Python's, numpy's and torch's ways to say that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # never imported for this: what has not been loaded did not fail
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # torch's CPU allocator and cuBLAS have no error class of their own.
    marks = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in marks)
