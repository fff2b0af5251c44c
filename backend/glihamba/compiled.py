"""Compiled functions that the next start finds on disk, where there is a disk to keep them on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger(__name__)


def kept(function: Callable[..., None], signature: Any, **options: Any) -> Callable[..., None]:
    """`function` compiled by numba for the signature, now, and kept for the next start if that is possible.

    options: numba.njit's. Raises ImportError where numba is missing.
    """
    import numba

    try:
        compiled: Callable[..., None] = numba.njit(signature, cache=True, **options)(function)
    except (RuntimeError, OSError) as error:  # no folder to keep it in, or a full disk
        _log.info("The compiled kernel is not kept for the next start: %s.", error)
        compiled = numba.njit(signature, **options)(function)
    return compiled
