"""The numba kernels: all numbers of states and widths, extreme values, and machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glihamba.networks import build
from glihamba.ops import ScanInputs, final_state, ss2d
from glihamba.ops.cpu import scan as cpu
from glihamba.ops.reference import final_state_reference, ss2d_reference

OPS = Path(cpu.__file__).parents[1]
NAMES = ("x", "dt_low_rank", "dt_weight", "dt_bias", "B", "C", "A", "D", "h0")


def inputs(
    batch: int, channels: int, length: int, states: int, rank: int, seed: int = 0
) -> dict[str, Tensor]:
    """float64, at Mamba's initialisation."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    step = torch.exp(torch.rand(4, channels, generator=g, dtype=torch.float64) * 4.6 - 6.9)
    return {
        "x": normal(batch, length, channels),
        "dt_low_rank": normal(batch, length, 4, rank),
        "dt_weight": normal(4, channels, rank) * rank**-0.5,
        "dt_bias": step + torch.log(-torch.expm1(-step)),
        "B": normal(batch, length, 4, states),
        "C": normal(batch, length, 4, states),
        "A": -torch.arange(1, states + 1, dtype=torch.float64) * torch.exp(0.1 * normal(4, channels, states)),
        "D": 1 + 0.1 * normal(4, channels),
        "h0": normal(batch, 4, channels, states),
    }


def single(exact: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.float() for name, t in exact.items()}


def as_read(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Round to float32 and return float64, so that the oracle starts from the same numbers."""
    return {name: t.double() for name, t in single(values).items()}


def relative(got: Tensor, wanted: Tensor) -> float:
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-30))


def gradients(function, values: dict[str, Tensor], height: int, width: int) -> list[Tensor]:
    leaves = {name: t.detach().clone().requires_grad_() for name, t in values.items()}
    y = function(ScanInputs(**leaves, height=height, width=width))
    upstream = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    return [y.detach(), *torch.autograd.grad(y, list(leaves.values()), upstream.to(y.dtype))]


@pytest.mark.parametrize(
    ("batch", "channels", "height", "width", "states", "rank"),
    [
        (1, 70, 7, 11, 1, 1),
        (2, 33, 1, 37, 2, 3),
        (1, 81, 41, 1, 4, 7),
        (2, 17, 5, 7, 8, 2),
        (1, 65, 9, 8, 16, 12),
        (9, 3, 4, 5, 1, 2),
        (1, 5, 6, 6, 20, 2),
    ],
)
def test_forward_and_gradients_match_float64(
    batch: int, channels: int, height: int, width: int, states: int, rank: int
) -> None:
    """Odd widths, one row, one column, chunks that are not full, few pictures and many."""
    exact = as_read(inputs(batch, channels, height * width, states, rank))
    wanted = gradients(ss2d_reference, exact, height, width)
    got = gradients(ss2d, single(exact), height, width)
    assert relative(got[0], wanted[0]) < 1e-6
    for name, ours, right in zip(NAMES, got[1:], wanted[1:], strict=True):
        assert relative(ours, right) < 1e-5, name


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_register_width_gives_the_same(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vector widths of AVX-512, AVX and NEON. LLVM splits or joins the vectors for this processor."""
    monkeypatch.setattr(cpu, "LANES", lanes)
    monkeypatch.setattr(cpu, "WIDE", 4 * lanes)
    cpu._compiled.cache_clear()
    exact = as_read(inputs(1, 4 * lanes + lanes // 2 + 1, 5 * 9, 2, 3))
    try:
        got, wanted = gradients(ss2d, single(exact), 5, 9), gradients(ss2d_reference, exact, 5, 9)
    finally:
        cpu._compiled.cache_clear()
    assert relative(got[0], wanted[0]) < 1e-6
    assert max(relative(a, b) for a, b in zip(got[1:], wanted[1:], strict=True)) < 1e-5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(1, 3),
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 5),
    st.booleans(),
)
def test_any_shape(
    batch: int, channels: int, height: int, width: int, states: int, rank: int, started: bool
) -> None:
    exact = as_read(inputs(batch, channels, height * width, states, rank))
    if not started:
        del exact["h0"]
    wanted = gradients(ss2d_reference, exact, height, width)
    got = gradients(ss2d, single(exact), height, width)
    # A few values may cancel. The bound is then the error of the reference in float32.
    plain = gradients(ss2d_reference, single(exact), height, width)
    for ours, theirs, right, bound in zip(got, plain, wanted, [1e-6] + [1e-5] * 9, strict=False):
        assert relative(ours, right) < max(bound, 5 * relative(theirs, right))


@pytest.mark.parametrize("states", [1, 16])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dt_weight", lambda t: t * 300),
        ("dt_bias", lambda t: t - 30),
        ("dt_bias", lambda t: t + 80),
        ("x", lambda t: t * 1e18),
        ("x", lambda t: t * 1e-18),
    ],
)
def test_extremes_stay_finite_and_right(name: str, change, states: int) -> None:
    exact = inputs(1, 20, 36, states, 2)
    exact = as_read({**exact, name: change(exact[name])})
    wanted, got = gradients(ss2d_reference, exact, 6, 6), gradients(ss2d, single(exact), 6, 6)
    assert torch.isfinite(got[0]).all()
    # exp magnifies the rounding of steps of hundreds. The bound is the error of the reference in float32.
    plain = gradients(ss2d_reference, single(exact), 6, 6)
    assert relative(got[0], wanted[0]) < max(1e-6, 3 * relative(plain[0], wanted[0]))
    for n, ours, theirs, right in zip(NAMES, got[1:], plain[1:], wanted[1:], strict=True):
        assert relative(ours, right) < max(1e-5, 3 * relative(theirs, right)), n


@pytest.mark.parametrize("name", ["x", "dt_low_rank", "B", "C", "h0", "A", "dt_bias"])
def test_nan_in_is_nan_out_where_the_reference_has_it(name: str) -> None:
    for sign in (1.0, -1.0):
        exact = inputs(1, 19, 20, 2, 1)
        exact[name].view(-1)[7] = torch.copysign(torch.tensor(torch.nan).double(), torch.tensor(sign)).item()
        wanted = ss2d_reference(ScanInputs(**exact, height=4, width=5))
        got = ss2d(ScanInputs(**single(exact), height=4, width=5))
        assert wanted.isnan().any()
        assert torch.equal(got.isnan(), wanted.isnan())


@pytest.mark.parametrize("name", ["x", "B", "C", "h0"])
def test_infinity_is_not_made_finite(name: str) -> None:
    exact = inputs(1, 19, 20, 2, 1)
    exact[name].view(-1)[7] = torch.inf
    wanted = ss2d_reference(ScanInputs(**exact, height=4, width=5))
    got = ss2d(ScanInputs(**single(exact), height=4, width=5))
    assert not torch.isfinite(wanted).all()
    assert torch.equal(torch.isfinite(got), torch.isfinite(wanted))


def test_ten_runs_are_bit_equal_forward_and_back() -> None:
    values = single(inputs(3, 70, 77, 4, 2))
    first = gradients(ss2d, values, 7, 11)
    for run in range(9):
        torch.set_num_threads(1 + run % 3)
        again = gradients(ss2d, values, 7, 11)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), run
    torch.set_num_threads(1)


def test_eight_callers_at_once_get_what_one_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "WORTH_A_THREAD", 1)  # threads share every call, however small it is
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    several = [single(inputs(2, 40, 99, 2, 2, seed)) for seed in range(8)]
    alone = [gradients(ss2d, values, 9, 11) for values in several]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = list(pool.map(lambda values: gradients(ss2d, values, 9, 11), several))
            for one, other in zip(alone, together, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_inputs_are_read_where_they_lie() -> None:
    """Slices of one projection, as the model has them, and layouts that must be copied."""
    exact = as_read(inputs(2, 12, 12, 2, 3))
    wanted = ss2d_reference(ScanInputs(**exact, height=3, width=4))
    values = single(exact)
    packed = torch.cat([values[n] for n in ("dt_low_rank", "B", "C")], -1)
    values["dt_low_rank"], values["B"], values["C"] = packed.split((3, 2, 2), -1)
    assert relative(ss2d(ScanInputs(**values, height=3, width=4)), wanted) < 1e-6
    for name in ("x", "B", "C", "dt_low_rank"):
        strided = {**values, name: values[name].transpose(0, 1).contiguous().transpose(0, 1)}
        assert relative(ss2d(ScanInputs(**strided, height=3, width=4)), wanted) < 1e-6, name
    picked = {**values, "B": values["B"].repeat_interleave(2, -1)[..., ::2]}
    assert relative(ss2d(ScanInputs(**picked, height=3, width=4)), wanted) < 1e-6


@pytest.mark.parametrize("states", [1, 18])
def test_final_state_in_float32_with_gradients(states: int) -> None:
    exact = as_read(inputs(2, 21, 40, states, 2))
    leaves = [exact[name] for name in ("x", "dt_low_rank", "dt_weight", "dt_bias", "B", "A")]

    def run(function, dtype: torch.dtype) -> list[Tensor]:
        ours = [t.detach().to(dtype).requires_grad_() for t in leaves]
        state = function(*ours)
        return [state.detach(), *torch.autograd.grad(state, ours, torch.cos(state.detach()))]

    wanted, got = run(final_state_reference, torch.float64), run(final_state, torch.float32)
    assert got[0].dtype == torch.float32
    assert relative(got[0], wanted[0]) < 1e-6
    for n, ours, right in zip(("x", "low", "weight", "bias", "B", "A"), got[1:], wanted[1:], strict=True):
        assert relative(ours, right) < 1e-5, n


@pytest.mark.parametrize("name", ["glihamba-tiny", "glihamba-small"])
def test_the_whole_model_is_within_a_ten_thousandth_of_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = build(name).eval()
    for parameter in network.parameters():  # away from heads that start at zero
        parameter.data.add_(0.02 * torch.randn_like(parameter))

    def in_double_precision(inputs: ScanInputs) -> Tensor:
        return ss2d_reference(inputs.map(Tensor.double)).float()

    composite, mask = torch.rand(1, 3, 40, 56), (torch.rand(1, 1, 40, 56) > 0.5).float()
    with torch.no_grad():
        fused = network(composite, mask)
        monkeypatch.setattr(sys.modules["glihamba.networks.vss"], "ss2d", in_double_precision)
        reference = network(composite, mask)
    assert not torch.equal(fused, composite)
    assert (fused - reference).abs().max() < 1e-4


def elsewhere(
    code: str, *, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a new Python, with `folder` on the copy of `glihamba.ops` in it."""
    path = os.pathsep.join([*([str(folder)] if folder else []), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


SCAN = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from glihamba.ops import ScanInputs, ss2d, warm_up
torch.manual_seed(0)
r = torch.randn
a = (r(1, 12, 3), r(1, 12, 4, 1), r(4, 3, 1), r(4, 3), r(1, 12, 4, 2), r(1, 12, 4, 2), -r(4, 3, 2).abs())
a = ScanInputs(*a, r(4, 3), 3, 4)
y = [ss2d(a) for _ in range(3)][-1]
from glihamba.ops.reference import ss2d_reference
print(float((y - ss2d_reference(a)).abs().max()) < 1e-4, warm_up())
"""


def test_without_numba_torch_scans_and_says_so_once() -> None:
    done = elsewhere("import sys; sys.modules['numba'] = None\n" + SCAN)
    assert done.stdout.split() == ["True", "False"], done.stderr
    assert done.stderr.count("WARNING") == 1
    assert "networks run on plain PyTorch, several times slower" in done.stderr


def test_a_broken_llvm_counts_as_missing() -> None:
    done = elsewhere("import sys; sys.modules['llvmlite.binding'] = None\n" + SCAN)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_where_nothing_can_be_kept_it_is_compiled_each_time(tmp_path: Path) -> None:
    """No cache folder can be made beside the module or in the home, because files are in their place."""
    package = tmp_path / "glihamba"
    shutil.copytree(OPS, package / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    shutil.copy(OPS.parent / "compiled.py", package)
    (package / "ops" / "cpu" / "__pycache__").write_text("not a folder")
    (tmp_path / "home").write_text("not a folder")
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), str(tmp_path / "home"))
    quick = SCAN.replace(", warm_up()", ", ''").replace(
        "import ScanInputs, ss2d, warm_up",
        "import ScanInputs, ss2d\nfrom glihamba.ops.cpu import scan as cpu\n",
    )
    done = elsewhere(
        quick + "print(cpu.__file__)",
        folder=tmp_path,
        PYTHONDONTWRITEBYTECODE="1",
        NUMBA_CACHE_DIR="",
        **nowhere,
    )
    assert done.returncode == 0, done.stderr
    answer, file = done.stdout.split()
    assert answer == "True"
    assert Path(file).is_relative_to(tmp_path)
    assert "The compiled kernel is not cached for the next start" in done.stderr
    assert not list(tmp_path.rglob("*.nbc"))


def test_a_changed_vector_is_compiled_anew(tmp_path: Path) -> None:
    """Numba watches only the kernels' own file."""
    package, kept = tmp_path / "glihamba", tmp_path / "kept"
    shutil.copytree(OPS, package / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    shutil.copy(OPS.parent / "compiled.py", package)
    code = SCAN.replace(", warm_up()", ", ''")
    for expected in (1, 1, 2):
        done = elsewhere(code, folder=tmp_path, NUMBA_CACHE_DIR=str(kept))
        assert done.stdout.split() == ["True"], done.stderr
        assert len(list(kept.rglob("*.nbc"))) == expected
        if len(list(tmp_path.glob("seen"))):
            with (package / "ops" / "cpu" / "vector.py").open("a") as file:
                file.write("\n# changed\n")
        (tmp_path / "seen").write_text("")


def test_the_pool_survives_a_fork() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    done = elsewhere(
        SCAN.replace(
            "y = [",
            "from glihamba.ops.cpu import scan\nscan.WORTH_A_THREAD = 1\ntorch.set_num_threads(2)\ny = [",
        )
        .replace("r(1, 12, 3)", "r(2, 12, 3)")
        .replace("r(1, 12, 4", "r(2, 12, 4")
        + "import os\nchild = os.fork()\nagain = ss2d(a)\nassert torch.equal(again, y)\n"
        + "if child == 0: os._exit(7)\nassert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
    )
    assert done.returncode == 0, done.stderr
