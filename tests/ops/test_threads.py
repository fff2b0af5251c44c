"""Work shared among threads, by PyTorch's OpenMP or by our own pool on systems without it."""

from __future__ import annotations

import numpy as np
import pytest

from glihamba.ops.cpu import threads


@pytest.fixture(params=["as it is here", "pool"])
def way(request, monkeypatch):
    if request.param == "pool":
        monkeypatch.setattr(threads, "_openmp", lambda: None)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("tasks", [1, 2, 7, 100])
def test_every_task_is_done_once(way, tasks, count):
    done = np.zeros(tasks, int)

    def run(first: int, last: int) -> None:
        done[first:last] += 1

    threads.share(tasks, count, run)
    assert (done == 1).all()


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_share_raises_is_raised(way, count):
    def run(first: int, last: int) -> None:
        if last == 10:
            raise ValueError("the last of them")

    with pytest.raises(ValueError, match="the last of them"):
        threads.share(10, count, run)
