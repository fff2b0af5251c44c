"""Decoded pictures on the disk: arrays that are built once in the cache folder and memory-mapped afterwards.

Decoding pictures at every step would be slower than training on them. A file under its final name is always
whole, and of several processes that ask for the same arrays at once, one builds them.
"""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import filelock
import numpy as np
import platformdirs

from glihamba.errors import HarmonizeError
from glihamba_proto.files import forget_parts, replacing

Item = TypeVar("Item")
Result = TypeVar("Result")
OnProgress = Callable[[int, int], None]
"""Called with the number of pictures done and of all, 0 if that is not known."""
FOLDER = "photo-banks"  # in the cache folder: the name of older versions, whose arrays stay of use
DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", -1))


class CannotKeep(HarmonizeError):
    """The disk is full; `str(error)` says so and what to do."""


class GrowingArray:
    """An .npy file that grows picture by picture; numpy leaves room in the header for the count."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type) -> None:
        self.file: BinaryIO = path.open("wb")
        self.shape, self.dtype, self.count = shape, np.dtype(dtype), 0
        self._header()

    def append(self, array: Any) -> None:
        self.file.write(np.ascontiguousarray(array, self.dtype).tobytes())
        self.count += 1

    def close(self) -> None:
        self.file.seek(0)
        self._header()
        self.file.close()

    def _header(self) -> None:
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, described)


def cached_arrays(
    name: str,
    identity: str,
    arrays: dict[str, tuple[tuple[int, ...], type]],
    build: Callable[[dict[str, GrowingArray]], None],
    folder: Path | None = None,
) -> dict[str, np.ndarray]:
    """The arrays, memory-mapped; `build` appends to them if the cache does not hold them yet.

    arrays: name -> shape of one picture, and type. identity: everything that the contents depend on. folder:
    where to keep them; None is the user's cache folder. Raises CannotKeep when the disk is full.
    """
    folder = folder or platformdirs.user_cache_path("glihamba") / FOLDER
    stem = f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    paths = {each: folder / f"{stem}-{each}.npy" for each in arrays}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f"{stem}.lock"):
            if not all(path.exists() for path in paths.values()):
                _build(paths, arrays, build)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise CannotKeep(
            f"The disk is full: make room in {folder}, where decoded photographs are kept, and try again."
        ) from error
    return {each: np.load(path, mmap_mode="r") for each, path in paths.items()}


def _build(paths: dict[str, Path], arrays: Any, build: Callable[[dict[str, GrowingArray]], None]) -> None:
    with ExitStack() as stack:
        for path in paths.values():
            forget_parts(path)
        parts = {each: stack.enter_context(replacing(path)) for each, path in paths.items()}
        growing = {each: GrowingArray(part, *arrays[each]) for each, part in parts.items()}
        for array in growing.values():
            stack.callback(array.close)  # before the files get their names
        build(growing)


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, depth: int
) -> Iterator[Result]:
    """`function` of every item, in order, computed by `threads` at most `depth` results ahead."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="glihamba-ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
