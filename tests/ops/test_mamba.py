"""mamba-ssm as the third way. Its compiled scan needs a GPU; a module of its name and calls, computed here
in plain torch as its authors publish it, shows that the cross-scan around it is right and what is refused.
"""

from __future__ import annotations

import pytest
import torch

from glihamba.ops import ScanInputs, gpu, mamba
from glihamba.ops.selftest import ScanUnusable
from glihamba.ops.torch_scan import ss2d_torch

PUBLISHED = """
import torch
import torch.nn.functional as F

def scan(u, delta, A, B, C, D, bias):
    dt = F.softplus(delta + bias[:, None])
    groups = u.shape[1] // B.shape[1]
    B, C = B.repeat_interleave(groups, 1), C.repeat_interleave(groups, 1)
    h, steps = torch.zeros(*u.shape[:2], A.shape[1]), []
    for i in range(u.shape[2]):
        h = torch.exp(dt[:, :, i, None] * A) * h + (dt * u)[:, :, i, None] * B[..., i]
        steps.append((h * C[..., i]).sum(-1))
    return torch.stack(steps, -1) + u * D[:, None]

def fwd(u, delta, A, B, C, D, z, bias, softplus):
    assert z is None and softplus and u.is_contiguous() and delta.is_contiguous() and A.dtype == torch.float32
    return scan(u, delta, A, B, C, D, bias) * FACTOR, torch.zeros(0)

def bwd(u, delta, A, B, C, D, z, bias, dout, x, out, dz, softplus, recompute):
    assert dout.is_contiguous() and not recompute
    leaves = [t.detach().requires_grad_() for t in (u, delta, A, B, C, D, bias)]
    with torch.enable_grad():
        return torch.autograd.grad(scan(*leaves), leaves, dout)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a module under the compiled scan's name."""

    def install(source):
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    name = f"selective_scan_{tmp_path.name}"
    monkeypatch.setattr(mamba, "MODULE", name)
    for state in ("_scans", "_chosen"):
        monkeypatch.setattr(gpu, state, {})
    mamba._module.cache_clear()
    mamba.require.cache_clear()
    yield install
    mamba._module.cache_clear()
    mamba.require.cache_clear()


def test_the_cross_scan_around_it_equals_the_torch_scan(installed):
    installed(PUBLISHED.replace("FACTOR", "1"))
    mamba.require(torch.device("cpu"))
    g = torch.Generator().manual_seed(0)
    shapes = [(2, 6, 5), (2, 6, 4, 2), (4, 5, 2), (4, 5), (2, 6, 4, 3), (2, 6, 4, 3), (4, 5, 3), (4, 5)]
    tensors = [torch.randn(shape, generator=g) for shape in shapes]
    tensors[6] = -tensors[6].abs()
    given = ScanInputs._make((*tensors, 2, 3, None))
    assert torch.allclose(mamba.ss2d_mamba(given), ss2d_torch(given), atol=1e-5)


def test_a_scan_that_computes_something_else_is_refused(installed):
    installed(PUBLISHED.replace("FACTOR", "1.01"))
    with pytest.raises(ScanUnusable, match=r"there but does not work \(its self-test is off by"):
        mamba.require(torch.device("cpu"))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("import no_such_library", "No module named 'no_such_library'"),
    ],
)
def test_installed_but_not_loadable_is_one_sentence(installed, source, reason):
    installed(source)
    with pytest.raises(ScanUnusable, match="compiled scan cannot be loaded") as caught:
        gpu.use("mamba")
    assert reason in str(caught.value)
    assert "install mamba-ssm with its CUDA kernels" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not gpu._chosen, "a wish that cannot be met changes nothing"


def test_it_is_never_chosen_by_being_there_but_by_wish(installed, monkeypatch):
    installed(PUBLISHED.replace("FACTOR", "1"))
    for module in (gpu, mamba):
        monkeypatch.setattr(module, "self_test", lambda *_: None)
    device = torch.device("cuda", 0)
    assert gpu.scan(device) is not mamba.ss2d_mamba
    gpu.use("mamba")
    assert gpu.scan(device) is mamba.ss2d_mamba
    gpu.use("triton")
    assert gpu.scan(device) is not mamba.ss2d_mamba
