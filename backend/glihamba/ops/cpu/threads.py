"""One piece of work shared among processors, on the threads that PyTorch's own operators run on.

PyTorch's OpenMP threads go on spinning for milliseconds after each of its operators, as long as a scan lasts:
threads of ours would share a processor with one that waits. So the work goes to those threads where PyTorch
has GNU's or LLVM's OpenMP, and to a pool where it has neither. At 384 channels, 1,024 tokens and 16 states,
right after an operator, two threads of a pool were 0.94 to 1.21 times as fast as one; OpenMP's two, 1.82 to
1.89 times.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

Run = Callable[[int, int], None]


def share(tasks: int, threads: int, run: Run) -> None:
    """run(first, last) for consecutive ranges that make up 0..tasks, at once, on at most `threads` threads.

    `run` must release the interpreter's lock to gain from it. What it raises is raised here.
    """
    if threads == 1:
        run(0, tasks)
    elif (openmp := _openmp()) is not None:
        _on_openmp(openmp, tasks, threads, run)
    else:
        shares = [_pool(threads).submit(run, *_range(i, threads, tasks)) for i in range(threads)]
        for done in shares:
            done.result()


def _range(index: int, count: int, tasks: int) -> tuple[int, int]:
    return round(index * tasks / count), round((index + 1) * tasks / count)


_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _on_openmp(openmp: ctypes.CDLL, tasks: int, threads: int, run: Run) -> None:
    raised: list[BaseException] = []  # an exception must not pass through OpenMP

    def body(_: int | None) -> None:
        try:  # OpenMP may give fewer threads than were asked for
            run(*_range(openmp.omp_get_thread_num(), openmp.omp_get_num_threads(), tasks))
        except BaseException as error:
            raised.append(error)

    openmp.GOMP_parallel(_Body(body), None, threads, 0)
    if raised:
        raise raised[0]


@cache
def _openmp() -> ctypes.CDLL | None:
    """The OpenMP that PyTorch itself has loaded; None where it has none that is called in GNU's way."""
    try:
        library = ctypes.CDLL(torch._C.__file__)
        library.GOMP_parallel.argtypes = [_Body, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        library.GOMP_parallel.restype = None
        library.omp_get_thread_num, library.omp_get_num_threads  # noqa: B018 - that they are there
    except (OSError, AttributeError):
        return None
    return library


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads pinned to one processor each. A thread woken on its waker's processor would wait there."""
    places = itertools.cycle(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None])

    def stay() -> None:
        place = next(places)
        if place is not None:
            os.sched_setaffinity(0, {place})

    return ThreadPoolExecutor(threads, thread_name_prefix="ss2d", initializer=stay)


def _after_fork() -> None:
    """A child process has neither OpenMP's threads nor the pool's: work given to them would never end."""
    global _openmp
    _pool.cache_clear()
    _openmp = cache(lambda: None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
