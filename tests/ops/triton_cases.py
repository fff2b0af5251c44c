"""What the Triton kernels must do, run by test_triton.py: in Triton's interpreter with tiny tiles, and on a
GPU with those that are used there.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from glihamba.ops import ScanInputs, selftest
from glihamba.ops.reference import ss2d_reference
from glihamba.ops.triton import scan as triton_scan
from glihamba.ops.triton import tuning as triton_tuning
from glihamba.ops.triton.scan import Launches
from glihamba.ops.triton.tuning import Plan

REAL = torch.cuda.is_available()
DEVICE = "cuda" if REAL else "cpu"
WHOLE, CHUNKED, TILES, ONE_PASS = (
    (
        Plan("sequential", 1 << 20, 32),
        Plan("sequential", 16, 64, 2),
        Plan("tiles", 48, 32),
        Plan("tiles", 1 << 12, 64, 2),
    )
    if REAL
    else (
        Plan("sequential", 1 << 20, 4),
        Plan("sequential", 3, 4),
        Plan("tiles", 4, 4, tile=2),
        Plan("tiles", 16, 4, tile=4),
    )
)
FORWARD_PLANS = {"whole": WHOLE, "chunked": CHUNKED, "tiles": TILES, "one_pass": ONE_PASS}
BACKWARD = (
    triton_tuning.BACKWARD_PLANS if REAL else (Plan("tiles", 4, 4, tile=4), Plan("tiles", 8, 4, tile=8))
)
SIZES = [(1, 1), (1, 6), (5, 1), (3, 5), (17, 19), (64, 48)] if REAL else [(1, 1), (3, 5)]
FORWARD, GRADIENT, HALF = 1.5e-6, 1e-5, 3e-3  # relative


@pytest.fixture(autouse=True)
def _small_tiles_for_the_interpreter(monkeypatch):
    if not REAL:
        monkeypatch.setattr(triton_scan, "CARRY", {"T": 2, "BD": 4, "num_warps": 1})


def inputs(batch, channels, height, width, states, rank=2):
    """Float64, as a model has them: low, B and C are views of one tensor. The last is h0."""
    g = torch.Generator().manual_seed(channels * states + height)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    step = torch.exp(
        torch.rand(4, channels, generator=g, dtype=torch.float64) * math.log(100) + math.log(1e-3)
    )
    selected = normal(batch, height * width, 4, rank + 2 * states)
    low, B, C = selected.split((rank, states, states), dim=-1)
    A = -torch.arange(1, states + 1, dtype=torch.float64) * torch.exp(0.1 * normal(4, channels, states))
    return [
        normal(batch, height * width, channels),
        low,
        normal(4, channels, rank) * rank**-0.5,
        step + torch.log(-torch.expm1(-step)),
        B,
        C,
        A,
        1 + 0.1 * normal(4, channels),
        normal(batch, 4, channels, states),
    ]


def lower(tensors, dtype=torch.float32):
    """Features to dtype, parameters and states to float32, all to the device; the views stay views."""
    features = (0, 1, 4, 5)
    return [t.to(DEVICE, dtype if i in features else torch.float32) for i, t in enumerate(tensors)]


def relative(got, wanted):
    got, wanted = got.detach().double().cpu(), wanted.detach().double().cpu()
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-30))


def reference(tensors, size, with_h0=True):
    return ss2d_reference(ScanInputs._make((*tensors[:8], *size, tensors[8] if with_h0 else None)))


@pytest.mark.parametrize("plan", FORWARD_PLANS.values(), ids=FORWARD_PLANS)
@pytest.mark.parametrize("size", SIZES)
def test_forward_matches_the_reference(plan, size: tuple[int, int]):
    exact = inputs(2, 40 if REAL else 3, *size, 3)
    got = Launches(ScanInputs._make((*lower(exact)[:8], *size, None))).forward(plan)
    assert got.dtype == torch.float32
    assert relative(got, reference(exact, size, with_h0=False)) < FORWARD


@pytest.mark.parametrize("states", [1, 16] if REAL else [1, 2])
@pytest.mark.parametrize("plan", FORWARD_PLANS.values(), ids=FORWARD_PLANS)
def test_forward_from_a_given_state(plan, states):
    size = (64, 48) if REAL else (2, 3)
    exact = inputs(1, 40 if REAL else 4, *size, states, rank=3)
    tensors = lower(exact)
    got = Launches(ScanInputs._make((*tensors[:8], *size, tensors[8]))).forward(plan)
    assert relative(got, reference(exact, size)) < FORWARD


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("plan", [CHUNKED, TILES], ids=["chunked", "tiles"])
def test_half_precision_in_and_out(plan, dtype):
    size = 2, 4
    halves = lower(inputs(1, 40 if REAL else 4, *size, 2), dtype)
    got = Launches(ScanInputs._make((*halves[:8], *size, halves[8]))).forward(plan)
    assert got.dtype == dtype
    assert relative(got, reference([t.double().cpu() for t in halves], size)) < HALF


@pytest.mark.parametrize("plan", BACKWARD, ids=str)
@pytest.mark.parametrize(("size", "states"), [((5, 2), 2), ((1, 1), 1)] + [((40, 24), 16)] * REAL)
def test_gradients_match_autograd_through_the_reference(plan, size: tuple[int, int], states):
    exact = [t.detach().requires_grad_() for t in inputs(2, 40 if REAL else 5, *size, states)]
    y = reference(exact, size)
    upstream = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(y, exact, upstream)
    tensors = lower(exact)
    got = Launches(ScanInputs._make((*tensors[:8], *size, tensors[8]))).backward(
        upstream.float().to(DEVICE), plan
    )
    for index, (ours, right) in enumerate(zip(got, wanted, strict=True)):
        assert ours is not None
        assert ours.shape == right.shape
        assert relative(ours, right) < GRADIENT, index


def test_autograd_takes_the_kernels_and_returns_each_dtype(monkeypatch):
    plan = BACKWARD[0]
    monkeypatch.setattr(triton_scan, "choose", lambda *_: plan)
    size = 2, 3
    exact = inputs(1, 4, *size, 1)
    leaves = lower(exact, torch.bfloat16)
    for parameter in (2, 3, 7):  # as in a network cast to bfloat16, where A alone stays float32
        leaves[parameter] = leaves[parameter].bfloat16()
    leaves = [t.detach().requires_grad_() for t in leaves]
    y = triton_scan.ss2d_triton(ScanInputs._make((*leaves[:8], *size, leaves[8])))
    y.float().square().sum().backward()
    right = [t.detach().cpu().double().requires_grad_() for t in leaves]
    reference(right, size).square().sum().backward()
    for index, (ours, wanted) in enumerate(zip(leaves, right, strict=True)):
        assert ours.grad.dtype == ours.dtype
        assert relative(ours.grad, wanted.grad) < 1e-2, index
    without = triton_scan.ss2d_triton(ScanInputs._make((*leaves[:8], *size, None)))
    assert torch.autograd.grad(without.sum(), leaves[:8], retain_graph=True)[0].shape == leaves[0].shape


@pytest.mark.parametrize("scale", [300.0, 1e-6])
@pytest.mark.parametrize("plan", [CHUNKED, TILES], ids=["chunked", "tiles"])
def test_extreme_steps_stay_exact(plan, scale):
    size = 2, 5
    exact = inputs(1, 4, *size, 2)
    exact[2] = exact[2] * scale
    exact[3] = exact[3] - (12 if scale < 1 else 0)  # tiny steps: softplus(-17) = 4e-8
    tensors = lower(exact)
    got = Launches(ScanInputs._make((*tensors[:8], *size, tensors[8]))).forward(plan)
    assert torch.isfinite(got).all()
    assert relative(got, reference([t.double().cpu() for t in tensors], size)) < 5e-6


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("plan", [CHUNKED, TILES], ids=["chunked", "tiles"])
def test_what_is_not_finite_stays_so_and_in_its_channel(plan, value):
    size = 2, 4
    exact = inputs(1, 4, *size, 2)
    exact[0][0, 5, 1] = value
    tensors = lower(exact)
    got = Launches(ScanInputs._make((*tensors[:8], *size, None))).forward(plan).cpu()
    wanted = reference(exact, size, with_h0=False)
    assert torch.equal(got.isfinite(), wanted.isfinite())
    assert not got[..., 1].isfinite().any()


def test_the_self_test_passes_the_kernels_and_catches_a_wrong_one(monkeypatch):
    monkeypatch.setattr(triton_scan, "choose", lambda work, *_: TILES if work == "forward" else BACKWARD[0])
    if not REAL:  # the interpreter takes a second a channel
        monkeypatch.setattr(selftest, "SELF_TEST", (2, 2, 3, 1, 1))
    selftest.self_test(triton_scan.ss2d_triton, torch.device(DEVICE))

    def wrong(inputs):
        return triton_scan.ss2d_triton(inputs) * 1.001

    with pytest.raises(selftest.ScanUnusable, match="self-test is off by"):
        selftest.self_test(wrong, torch.device(DEVICE))


def test_what_was_timed_is_remembered_and_a_damaged_file_is_timed_again(monkeypatch, tmp_path):
    monkeypatch.setattr(triton_tuning, "_file", lambda: tmp_path / "cache" / "plans.json")

    def begin_anew():
        monkeypatch.setattr(triton_tuning, "_plans", {})
        monkeypatch.setattr(triton_tuning, "_read", False)

    begin_anew()
    assert triton_tuning._known() == {}
    triton_tuning._remember("a shape", TILES)
    begin_anew()
    assert triton_tuning._known() == {"a shape": TILES}
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["plans.json"]
    for damaged in ("{", "[]", '{"a shape": {"kernel": 1}}', '{"a shape": 3}'):
        triton_tuning._file().write_text(damaged)
        begin_anew()
        assert triton_tuning._known() == {}
    monkeypatch.setattr(triton_tuning, "_file", lambda: tmp_path / "cache" / "plans.json" / "no folder")
    triton_tuning._remember("a shape", CHUNKED)
    assert triton_tuning._known() == {"a shape": CHUNKED}


def test_few_plans_are_tried_and_one_reads_the_whole_sequence():
    x = torch.empty(2, 1000, 96, device=DEVICE)
    plans = triton_tuning.forward_plans(x)
    assert 2 <= len(plans) <= 5
    assert any(plan.steps >= 1000 for plan in plans)
    assert all(plan.steps % plan.tile == 0 for plan in plans)


def test_shapes_with_other_plans_are_remembered_apart(monkeypatch):
    """Shapes with different plans need different keys, or one would find the other's plan."""
    monkeypatch.setattr(triton_tuning, "_multiprocessors", lambda x: 132)
    plans: dict[Any, Any] = {}
    for batch, length in ((1, 1000), (1, 1024), (3, 1024), (4, 1024), (4, 700)):
        x = torch.empty(batch, length, 96, device=DEVICE)
        found = triton_tuning.forward_plans(x)
        assert plans.setdefault(triton_tuning._key("forward", x, 16), found) == found


if REAL:

    def test_dispatch_takes_the_kernels_and_the_timing_is_remembered(caplog):
        from glihamba.ops import ss2d

        size = 24, 40
        exact = inputs(2, 48, *size, 4)
        leaves = [t.detach().requires_grad_() for t in lower(exact)]
        y = ss2d(ScanInputs._make((*leaves[:8], *size, leaves[8])))
        assert not caplog.records
        assert relative(y, reference(exact, size)) < FORWARD
        y.sum().backward()
        assert len(triton_tuning._known()) >= 2
        assert triton_tuning._file().exists()

    def test_cuda_graphs_replay_the_scan():
        size = 16, 16
        tensors = lower(inputs(1, 64, *size, 4))
        wanted = Launches(ScanInputs._make((*tensors[:8], *size, tensors[8]))).forward(TILES)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            got = Launches(ScanInputs._make((*tensors[:8], *size, tensors[8]))).forward(TILES)
        got.zero_()
        graph.replay()
        assert torch.equal(got, wanted)
