"""GLIHamba against its paper: parts, published cost, Eq. 7, and any size of picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glihamba.errors import UnknownModel
from glihamba.models import load, registry
from glihamba.models.filling import network_of
from glihamba.networks import build, colour_statistics_kernel, names
from glihamba.networks.vss import GFSE, LFSE, MLGVSSBlock, PatchExpanding, PatchMerging, VSSBlock
from glihamba.ops import ScanInputs, final_state, ss2d

SMALL = {"width": 16, "encoder": (1, 1), "decoder": (1,), "state_dimension": 2}


def pictures(height, width, batch=1, seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.zeros(batch, 1, height, width)
    mask[..., height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    return torch.rand(batch, 3, height, width, generator=g), mask


@pytest.mark.slow
def test_paper_size_has_the_published_parameters_and_operations():
    network = build("glihamba").eval()
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == pytest.approx(64.20e6, rel=0.03), "Table 3"
    # In double precision every layer is a plain torch product; the fused scan hides or pads some.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.double()(*(p.double() for p in pictures(256, 256)))
    counts = {str(op): flops / 2 for op, flops in counter.get_flop_counts()["Global"].items()}
    layers = sum(n for op, n in counts.items() if "bmm" not in op)  # bmm multiplies activations, not layers
    assert layers == pytest.approx(14.86e9, rel=0.10), "Table 3, multiply-adds of linear and conv layers"


@pytest.mark.slow
@pytest.mark.parametrize("name", names("glihamba"))
def test_every_size_runs_forward_and_backward(name):
    network = build(name)
    composite, mask = pictures(64, 64, batch=2)
    harmonized = network(composite, mask)
    assert harmonized.shape == composite.shape
    (harmonized - 0.5).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("output", ["image", "residual", "transform"])
@pytest.mark.parametrize("mask_in_encoder", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (7, 30), (33, 5)])
def test_any_input_size_and_every_switch(output, mask_in_encoder, size):
    network = build("glihamba-tiny", **SMALL, output=output, mask_in_encoder=mask_in_encoder).eval()
    composite, mask = pictures(*size)
    with torch.no_grad():
        harmonized = network(composite, mask)
        transform = network.colour_transform(composite, mask)
    assert harmonized.shape == composite.shape
    assert torch.isfinite(harmonized).all()
    assert transform.isfinite()


def test_equation_7_leaves_the_scene_as_it_is():
    network = build("glihamba-tiny", **SMALL, output="image").eval()
    composite, mask = pictures(24, 24)
    with torch.no_grad():
        harmonized = network(composite, mask)
        soft = network(composite, mask * 0.5)
    assert torch.equal(harmonized * (1 - mask), composite * (1 - mask))
    assert (harmonized - composite).abs().max() > 0.01, "an untrained picture differs inside"
    assert torch.equal(soft * (1 - mask), composite * (1 - mask))


def test_transform_output_begins_at_the_identity():
    network = build("glihamba-tiny").eval()
    composite, mask = pictures(64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(composite, mask), composite, atol=1e-6, rtol=0)


def test_encoder_reads_the_mask_only_when_told():
    composite, mask = pictures(16, 16)
    for told in (False, True):
        torch.manual_seed(0)
        network = build("glihamba-tiny", **SMALL, mask_in_encoder=told).eval()
        seen: list[torch.Tensor] = []
        network.get_submodule("merge.0").register_forward_hook(
            lambda module, args, out, seen=seen: seen.append(out)
        )
        with torch.no_grad():
            network(composite, mask)
            network(composite, 1 - mask)
        assert torch.equal(*seen) == (not told)


def test_whole_network_equals_itself_in_double_precision():
    torch.manual_seed(1)
    network = build("glihamba-small", output="residual").eval()
    composite, mask = pictures(48, 40)
    with torch.no_grad():
        single = network(composite, mask)
        double = network.double()(composite.double(), mask.double())
    assert (single - double).abs().max() < 1e-4, "the fused scan against the reference path"


def test_lfse_keeps_neighbours_side_by_side():
    lfse = LFSE(16, 8)
    features, mask = torch.randn(1, 5, 6, 16), torch.rand(1, 5, 6, 1)
    with torch.no_grad():
        out = lfse(features, mask)
    assert out.shape == (1, 5, 6, 18)
    grid = out.view(1, 5, 6, 2, 3, 3)
    centre = grid[..., 1, 1]
    assert torch.equal(grid[:, 1:, :, :, 0, 1], centre[:, :-1]), "the neighbour above"
    assert torch.equal(grid[:, :, :-1, :, 1, 2], centre[:, :, 1:]), "the neighbour to the right"
    assert torch.equal(grid[:, 0, :, :, 0], torch.zeros(1, 6, 2, 3)), "nothing above the first row"


def test_lfse_reads_the_mask_in_every_group():
    lfse = LFSE(16, 8)
    features = torch.randn(1, 4, 4, 16)
    with torch.no_grad():
        changed = lfse(features, torch.ones(1, 4, 4, 1)) - lfse(features, torch.zeros(1, 4, 4, 1))
    assert (changed.abs().amax((0, 1, 2)) > 0).all()


@pytest.mark.parametrize("size", [(8, 8), (3, 11), (1, 1)])
def test_gfse_gives_one_token_a_group_at_any_size(size):
    gfse = GFSE(18, stride=2, gamma=9, positions=4)
    with torch.no_grad():
        assert gfse(torch.randn(2, *size, 18)).shape == (2, 2, 18)


def test_global_tokens_reach_every_position():
    block = MLGVSSBlock(16, 2).eval()
    features, mask = torch.randn(1, 8, 8, 16), torch.zeros(1, 8, 8, 1)
    with torch.no_grad():
        before = block(features, mask)
        block.globals.project.bias.add_(1)
        after = block(features, mask)
    assert ((after - before).abs().amax(-1) > 0).all()


def test_one_changed_pixel_reaches_the_far_corner():
    block = VSSBlock(16, 2).eval()
    features, mask = torch.randn(1, 9, 9, 16), torch.zeros(1, 9, 9, 1)
    other = features.clone()
    other[0, 0, 0, 3] += 1  # in one channel: LayerNorm would undo it in all
    with torch.no_grad():
        assert (block(features, mask) - block(other, mask))[0, 8, 8].abs().max() > 0


def test_merging_and_expanding_keep_pixels_in_place():
    merging, expanding = PatchMerging(4), PatchExpanding(8, 2, 4)
    assert merging(torch.randn(1, 6, 4, 4)).shape == (1, 3, 2, 8)
    x = torch.zeros(1, 3, 2, 8)
    x[0, 1, 1] = 1
    with torch.no_grad():
        expanded = expanding(x)
    touched = (expanded - expanding(torch.zeros(1, 3, 2, 8))).abs().amax(-1)[0] > 0
    assert touched.nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UnknownModel, match=r'No network is called "glihumba": choose one of .*glihamba, '):
        build("glihumba")
    with pytest.raises(TypeError, match="GLIHamba has no setting witdh"):
        build("glihamba-tiny", witdh=8)


@pytest.mark.parametrize("side", [96, 256])
def test_the_compiled_statistics_paint_the_same_picture(side, monkeypatch):
    network = load("glihamba-tiny")
    composite, mask = pictures(side, side)
    with torch.inference_mode():
        fused = network(composite, mask)
        monkeypatch.setattr(colour_statistics_kernel, "fastest", lambda: None)
        plain = network(composite, mask)
    assert (fused - composite).abs().max() > 0.01, "the network recolours"
    assert 255 * (fused - plain).abs().max() < 0.01, "levels"


def test_the_compiled_statistics_train_by_the_same_gradients(monkeypatch):
    network = build("glihamba-tiny", **SMALL)
    weights = dict(network.named_parameters())
    torch.nn.init.normal_(
        weights["head.base.weight"], std=0.01
    )  # zero at first: nothing below it would learn
    composite, mask = pictures(40, 40, batch=3)

    def gradients() -> torch.Tensor:
        network.zero_grad()
        (network(composite, mask) - 0.5).square().mean().backward()
        return torch.cat([p.grad.flatten() for p in weights.values() if p.grad is not None])

    fused = gradients()
    monkeypatch.setattr(colour_statistics_kernel, "fastest", lambda: None)
    plain = gradients()
    assert (fused - plain).norm() < 1e-4 * plain.norm()


def test_several_answers_do_not_change_the_first():
    torch.manual_seed(0)
    one = build("glihamba-tiny").eval()
    torch.nn.init.normal_(one.get_parameter("head.base.weight"), std=0.01)
    three = build("glihamba-tiny", answers=3).eval()
    missing, unexpected = three.load_state_dict(one.state_dict(), strict=False)
    assert {name.split(".")[:2] == ["head", "others"] for name in missing} == {True}
    assert not unexpected
    composite, mask = pictures(32, 48, batch=2)
    with torch.no_grad():
        (first, *others), odds = three.answers(composite, mask)
        alone = one.answers(composite, mask)
    assert torch.equal(first.base, alone.transforms[0].base)
    assert torch.equal(first.grid, alone.transforms[0].grid)
    assert len(alone.transforms) == 1
    assert (len(others), odds.shape) == (2, (2, 3))
    assert not torch.equal(others[0].base, others[1].base), "apart, so that they can grow apart"


def test_nothing_is_learned_for_the_first_answer_through_the_others():
    network = build("glihamba-tiny", **SMALL, output="transform", answers=3)
    _, *others = network.answers(*pictures(16, 16)).transforms
    torch.stack([other.base for other in others]).square().sum().backward()
    moved = {name.rpartition(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert moved == {"head.others.mlp.0", "head.others.mlp.2", "head.others.change"}


def test_a_picture_has_one_answer():
    with pytest.raises(ValueError, match='several answers only if its output is "transform"'):
        build("glihamba-tiny", **SMALL, output="image", answers=2)


def test_global_tokens_are_scanned_once_or_in_each_direction():
    """Once: all four directions start from the first one's state, whatever the others' weights are."""
    features, mask = torch.randn(1, 6, 6, 16), torch.zeros(1, 6, 6, 1)
    for once in (True, False):
        torch.manual_seed(1)
        block = MLGVSSBlock(16, 2, globals_once=once).eval()
        with torch.no_grad():
            local = block.local(block.project_in(block.norm(features)).chunk(2, dim=-1)[0], mask)
            tokens = block.globals(local)
            low_rank, states, _ = block.scan._selected(tokens)
            A = -torch.exp(block.scan.log_A)
            h0 = final_state(tokens, low_rank, block.scan.dt_weight, block.scan.dt_bias, states, A)
            if once:
                h0 = h0[:, :1].repeat(1, 4, 1, 1)
            low_rank, B, C = block.scan._selected(local.flatten(1, 2))
            scan = block.scan
            given = (local.flatten(1, 2), low_rank, scan.dt_weight, scan.dt_bias, B, C, A, scan.D, 6, 6, h0)
            by_hand = ss2d(ScanInputs(*given)).unflatten(1, (6, 6))
            torch.testing.assert_close(scan(local, tokens), by_hand)


def test_only_the_paper_s_size_scans_its_global_tokens_once():
    """What was trained before the setting existed keeps the way that it was trained."""
    assert build("glihamba").config.globals_once
    assert not build("glihamba-tiny").config.globals_once
    assert not build("glihamba-small").config.globals_once
    record, shipped = registry.get("glihamba-tiny"), load("glihamba-tiny")
    earlier = {key: value for key, value in record.config.items() if key != "globals_once"}
    again = network_of(replace(record, config=earlier), dict(shipped.state_dict()))
    assert not again.config.globals_once
    blocks = [module for module in again.modules() if isinstance(module, MLGVSSBlock)]
    assert blocks
    assert not any(block.scan.globals_once for block in blocks)
