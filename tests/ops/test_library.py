"""The registered operator: torch's own checks, and the model exported and compiled."""

from __future__ import annotations

import pytest
import torch

from glihamba.networks import build
from glihamba.ops import ScanInputs, ss2d
from glihamba.ops.library import traced_ss2d


def arguments(h0=True, grad=True, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    shapes = [(2, 6, 5), (2, 6, 4, 2), (4, 5, 2), (4, 5), (2, 6, 4, 3), (2, 6, 4, 3), (4, 5, 3), (4, 5)]
    tensors = [torch.randn(shape, generator=g).to(dtype) for shape in [*shapes, (2, 4, 5, 3)]]
    tensors[6] = -tensors[6].abs() - 0.1
    tensors = [t.requires_grad_(grad) for t in tensors]
    return ScanInputs._make((*tensors[:8], 2, 3, tensors[8] if h0 else None))


@pytest.mark.parametrize("h0", [True, False])
def test_torch_finds_nothing_wrong_with_the_operator(h0):
    torch.library.opcheck(traced_ss2d, tuple(arguments(h0)))


def test_the_operator_equals_the_plain_call_with_its_gradients():
    plain, traced = arguments(), arguments()
    ours, wanted = traced_ss2d(*traced), ss2d(plain)
    assert torch.equal(ours, wanted)
    upstream = torch.cos(wanted.detach())
    ours.backward(upstream)
    wanted.backward(upstream)
    for got, right in zip(traced, plain, strict=True):
        if isinstance(got, torch.Tensor):
            assert got.grad is not None
            assert torch.equal(got.grad, right.grad)


def picture(side=64):
    g = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, 1, side, side)
    mask[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return torch.rand(1, 3, side, side, generator=g), mask


def network():
    torch.manual_seed(0)
    return build("glihamba-tiny")


def test_the_model_exports_with_the_operator_in_it():
    model, inputs = network().eval(), picture()
    with torch.no_grad():
        exported = torch.export.export(model, inputs)
        assert torch.allclose(exported.module()(*inputs), model(*inputs), atol=1e-6)
    scans = [node for node in exported.graph.nodes if "glihamba.ss2d" in str(node.target)]
    assert len(scans) == sum(type(part).__name__ == "SelectiveScan" for part in model.modules())


def test_the_model_compiles_without_a_graph_break():
    torch._dynamo.reset()
    model, inputs = network().eval(), picture()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.allclose(compiled(*inputs), model(*inputs), atol=1e-6)


def test_a_training_step_compiles_with_the_same_gradients():
    torch._dynamo.reset()
    model, inputs = network().train(), picture(32)

    def gradients(run):
        model.zero_grad()
        run(*inputs).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    wanted = gradients(model)
    got = gradients(torch.compile(model, backend="aot_eager", fullgraph=True))
    assert got.keys() == wanted.keys()
    for name, right in wanted.items():
        assert torch.allclose(got[name], right, rtol=1e-3, atol=1e-7), name
