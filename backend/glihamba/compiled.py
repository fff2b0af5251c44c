"""Compile functions with numba and cache them on disk for the next start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)


def kept(function: Callable[..., None], signature: Any, **options: Any) -> Callable[..., None]:
    """Compile a function with numba for one signature, at once.

    The compiled code is cached on disk if numba finds a folder for it. options: those of numba.njit.
    Raises ImportError if numba is missing.
    """
    import numba

    try:
        compiled: Callable[..., None] = numba.njit(signature, cache=True, **options)(function)
    except (RuntimeError, OSError) as error:  # no folder can be written, or the disk is full
        _log.info("The compiled kernel is not cached for the next start: %s.", error)
        compiled = numba.njit(signature, **options)(function)
    return compiled
