"""The GPU's half of `glihamba bench`: what it counts, and that it measures where there is a GPU."""

from __future__ import annotations

import pytest
import torch

from glihamba.bench import gpu
from glihamba.ops import ss2d
from glihamba.ops.reference import ss2d_reference

SMALL = gpu.Case(batch=2, channels=8, side=4, states=3, rank=2)


def test_the_least_work_is_counted() -> None:
    assert SMALL.exponentials == 2 * 16 * 4 * 8 * 3
    values = 2 * 16 * (8 + 8 + 4 * (2 + 3 + 3))  # x, y, low, B and C of four directions
    assert SMALL.forward_bytes == 2 * values
    more = 2 * 16 * (8 + 8 + 8 + 2 * 4 * (2 + 3 + 3))  # x, dy, dx; low, B, C and their gradients
    assert SMALL.backward_bytes == 2 * more


def test_the_inputs_are_a_models() -> None:
    given = SMALL.inputs("cpu")
    low, B, C, A = given.dt_low_rank, given.B, given.C, given.A
    assert low.data_ptr() < B.data_ptr() < C.data_ptr() < low.data_ptr() + 2 * low.stride(1)
    assert (A < 0).all()
    wanted = ss2d_reference(given.map(torch.Tensor.double))
    assert float((ss2d(given).double() - wanted).norm() / wanted.norm()) < 3e-3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: its rows are tested instead")
def test_without_a_gpu_there_are_no_rows() -> None:
    assert list(gpu.scan_rows(1)) == []
    assert list(gpu.model_rows(["glihamba-tiny"], lambda name: pytest.fail(name), 1)) == []


@pytest.mark.gpu
def test_a_gpu_is_measured() -> None:
    from glihamba.networks import build

    rows = list(gpu.scan_rows(1, (SMALL,)))
    assert [row["direction"] for row in rows] == ["forward", "forward, graph", "forward + backward"]
    assert all(row["ms"] > 0 and 0 < row["bandwidth_percent"] < 100 for row in rows)
    (row,) = gpu.model_rows(["glihamba-tiny"], lambda name: build(name).eval(), 1)
    assert row["milliseconds"] > 0
