"""The scans against the float64 reference, forward and backward."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glihamba.ops import ScanInputs, final_state, ss2d
from glihamba.ops.cpu.scan import ss2d_cpu
from glihamba.ops.layout import scan_orders
from glihamba.ops.reference import final_state_reference, ss2d_reference
from glihamba.ops.torch_scan import ss2d_torch

NAMES = ("x", "dt_low_rank", "dt_weight", "dt_bias", "B", "C", "A", "D")


def inputs(batch, channels, height, width, states, rank=2, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    length = height * width

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    step = torch.exp(
        torch.rand(4, channels, generator=g, dtype=torch.float64) * math.log(100) + math.log(1e-3)
    )
    tensors = {
        "x": normal(batch, length, channels),
        "dt_low_rank": normal(batch, length, 4, rank),
        "dt_weight": normal(4, channels, rank) * rank**-0.5,
        "dt_bias": step + torch.log(-torch.expm1(-step)),
        "B": normal(batch, length, 4, states),
        "C": normal(batch, length, 4, states),
        "A": -torch.arange(1, states + 1, dtype=torch.float64).repeat(4, channels, 1)
        * torch.exp(0.1 * normal(4, channels, states)),
        "D": 1 + 0.1 * normal(4, channels),
    }
    return {name: t.to(dtype) for name, t in tensors.items()}, normal(batch, 4, channels, states).to(dtype)


def relative(got, wanted):
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-30))


def test_scan_orders_read_rows_columns_and_both_reversed():
    orders, inverse = scan_orders(2, 3)
    assert orders.tolist() == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    assert torch.equal(orders.gather(1, inverse), torch.arange(6).expand(4, 6))


@pytest.mark.parametrize("states", [1, 2, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 5), (17, 19)])
@pytest.mark.parametrize("with_h0", [False, True])
@pytest.mark.parametrize("scan", [ss2d_cpu, ss2d_torch])
def test_forward_matches_the_reference(scan, size: tuple[int, int], states, with_h0):
    exact, h0 = inputs(2, 14, *size, states)
    wanted = ss2d_reference(ScanInputs(**exact, height=size[0], width=size[1], h0=h0 if with_h0 else None))
    single = {name: t.float() for name, t in exact.items()}
    got = scan(ScanInputs(**single, height=size[0], width=size[1], h0=h0.float() if with_h0 else None))
    assert got.dtype == torch.float32
    assert relative(got, wanted) < 1.5e-6


@pytest.mark.parametrize("with_h0", [False, True])
def test_double_precision_is_exact(with_h0):
    exact, h0 = inputs(2, 6, 5, 3, 4)
    initial = h0 if with_h0 else None
    wanted = ss2d_reference(ScanInputs(**exact, height=5, width=3, h0=initial))
    assert relative(ss2d(ScanInputs(**exact, height=5, width=3, h0=initial)), wanted) < 1e-13


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_and_out(dtype):
    exact, _ = inputs(1, 8, 6, 6, 2)
    halves = {n: t.to(dtype) if n in ("x", "dt_low_rank", "B", "C") else t.float() for n, t in exact.items()}
    wanted = ss2d_reference(ScanInputs(**{n: t.double() for n, t in halves.items()}, height=6, width=6))
    got = ss2d(ScanInputs(**halves, height=6, width=6))
    assert got.dtype == dtype
    assert relative(got, wanted) < 3e-3


def test_cpu_kernel_gives_equal_bits_on_every_run_and_thread_count():
    exact, _ = inputs(2, 40, 12, 9, 3, dtype=torch.float32)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 3):
            torch.set_num_threads(count)
            results.append(ss2d(ScanInputs(**exact, height=12, width=9)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_concurrent_calls_are_equal():
    exact, _ = inputs(1, 24, 16, 16, 2, dtype=torch.float32)
    alone = ss2d(ScanInputs(**exact, height=16, width=16))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: ss2d(ScanInputs(**exact, height=16, width=16)), range(16)))
    assert all(torch.equal(alone, other) for other in together)


@pytest.mark.parametrize("states", [1, 3])
@pytest.mark.parametrize("scan", [ss2d_cpu, ss2d_torch])
def test_backward_matches_autograd_through_the_reference(scan, states):
    exact, h0 = inputs(2, 13, 4, 3, states)
    leaves = {**exact, "h0": h0}
    upstream = torch.randn(2, 12, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def gradients(function, dtype):
        ours = {name: t.detach().clone().to(dtype).requires_grad_() for name, t in leaves.items()}
        function(ScanInputs(**ours, height=4, width=3)).backward(upstream.to(dtype))
        return {name: t.grad for name, t in ours.items()}

    wanted = gradients(ss2d_reference, torch.float64)
    single = gradients(scan, torch.float32)
    double = gradients(ss2d, torch.float64)
    for name in leaves:
        assert relative(single[name], wanted[name]) < 1e-5, name
        assert relative(double[name], wanted[name]) < 1e-12, name


def test_reference_passes_gradcheck():
    exact, h0 = inputs(1, 2, 2, 2, 2, rank=1)
    leaves = [t.requires_grad_() for t in (*exact.values(), h0)]
    assert torch.autograd.gradcheck(lambda *t: ss2d_reference(ScanInputs._make((*t[:8], 2, 2, t[8]))), leaves)


def test_long_scans_without_gradient_are_read_in_pieces_and_equal():
    exact, h0 = inputs(1, 3, 21, 37, 2)
    wanted = ss2d_reference(ScanInputs(**exact, height=21, width=37, h0=h0))
    assert relative(ss2d_torch(ScanInputs(**exact, height=21, width=37, h0=h0)), wanted) < 1e-13


def test_extreme_steps_do_not_overflow():
    exact, _ = inputs(1, 4, 6, 6, 4)
    for scale in (300.0, 1e-6):
        scaled = {**exact, "dt_weight": exact["dt_weight"] * scale}
        wanted = ss2d_reference(ScanInputs(**scaled, height=6, width=6))
        got = ss2d(ScanInputs(**{name: t.float() for name, t in scaled.items()}, height=6, width=6))
        assert torch.isfinite(got).all()
        assert relative(got, wanted) < 1e-5


def test_nan_in_is_nan_out():
    exact, _ = inputs(1, 3, 4, 4, 2)
    exact["x"][0, 5, 1] = float("nan")
    got = ss2d(ScanInputs(**exact, height=4, width=4))
    assert got[..., 1].isnan().all(), "every direction pair passes the NaN on to the whole channel"
    assert torch.isfinite(got[..., 0]).all()


def test_final_state_matches_the_reference_with_gradients():
    exact, _ = inputs(2, 5, 1, 9, 3)
    leaves = {name: exact[name] for name in ("x", "dt_low_rank", "dt_weight", "dt_bias", "B", "A")}

    def run(function):
        ours = {name: t.detach().clone().requires_grad_() for name, t in leaves.items()}
        state = function(**ours)
        (state * torch.arange(state.numel(), dtype=state.dtype).view_as(state)).sum().backward()
        return state, {name: t.grad for name, t in ours.items()}

    wanted, wanted_gradients = run(final_state_reference)
    got, got_gradients = run(final_state)
    assert relative(got, wanted) < 1e-12
    for name in leaves:
        assert relative(got_gradients[name], wanted_gradients[name]) < 1e-11, name


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_any_shape(batch, channels, height, width, states):
    exact, h0 = inputs(batch, channels, height, width, states, rank=1)
    wanted = ss2d_reference(ScanInputs(**exact, height=height, width=width, h0=h0))
    assert relative(ss2d(ScanInputs(**exact, height=height, width=width, h0=h0)), wanted) < 1e-12
    single = {name: t.float() for name, t in exact.items()}
    assert relative(ss2d(ScanInputs(**single, height=height, width=width, h0=h0.float())), wanted) < 5e-6


def test_a_gradient_may_follow_an_inference_of_the_same_size():
    exact, _ = inputs(1, 2, 2, 9, 1)
    with torch.inference_mode():
        ss2d(ScanInputs(**exact, height=2, width=9))
    exact["x"].requires_grad_()
    ss2d(ScanInputs(**exact, height=2, width=9)).sum().backward()
    assert exact["x"].grad.abs().sum() > 0


def test_wrong_size_is_named():
    exact, _ = inputs(1, 2, 2, 3, 1)
    with pytest.raises(ValueError, match="x has 6 tokens, but 4 x 4 is 16"):
        ss2d(ScanInputs(**exact, height=4, width=4))
