"""What the head reads besides: quantiles of colours, and what object and scene are."""

from __future__ import annotations

import pytest
import torch

from glihamba.networks import build
from glihamba.networks.colour_statistics import QUANTILES, quantiles
from glihamba.networks.semantic import CHANNELS, MEANING, Encoder, Meaning
from glihamba_training.run.checkpoints import with_silent_parts

SMALL = {"width": 8, "encoder": (1, 1), "decoder": (1,), "output": "transform", "answers": 2}
MORE = {"quantiles": True, "semantic": True}


def test_quantiles_of_a_ramp_and_of_nothing():
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    parts = torch.zeros(1, 4, 64, 64)
    parts[:, 0] = 1
    parts[:, 1, :, :32] = 1  # the darker half
    parts[:, 2, 0, 5] = 1  # a pixel
    found = quantiles(ramp, parts).view(4, 4, -1)
    assert found.numel() == QUANTILES
    assert (found.diff(dim=2) >= 0).all(), "lighter with the share"
    assert found[0, :, 5].tolist() == pytest.approx([0.0] * 4, abs=0.04), "the median of all: gray"
    assert found[1, :, 5].tolist() == pytest.approx([-1.0] * 4, abs=0.06)
    assert found[2].flatten().tolist() == pytest.approx([(5 / 63 - 0.5) * 4] * 44, abs=1e-4)
    assert not found[3].any()


def test_quantiles_tell_a_faded_object_from_its_scene():
    g = torch.Generator().manual_seed(0)
    scene = torch.rand(1, 3, 64, 64, generator=g)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    faded = mask * (0.3 + 0.4 * scene) + (1 - mask) * scene
    black = quantiles(faded, torch.cat((mask, 1 - mask, mask, 1 - mask), 1)).view(4, 4, -1)[:2, :3, 1]
    assert (black[0] - black[1] > 1).all(), "its black is at 0.3"


def test_the_encoder_s_shape():
    with torch.device("meta"):
        network = Encoder()
        assert network(torch.rand(1, 3, 128, 96)).shape == (1, CHANNELS, 8, 6)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.69e6, rel=0.02)


@pytest.mark.parametrize(("side", "seen"), [(48, 48), (96, 96), (200, 96)])
def test_meaning_is_read_at_96_pixels_at_most_and_nothing_is_enlarged(side, seen):
    meaning, met = Meaning(), []
    meaning.encoder.register_forward_pre_hook(lambda _, given: met.append(given[0].shape[-2:]))
    meaning.see(torch.rand(1, 3, side, side), torch.ones(1, 1, side, side))
    assert met == [(seen, seen)]


def test_meaning_learns_its_bottleneck_alone():
    meaning = Meaning()
    mask = torch.zeros(2, 1, 40, 60)
    mask[..., 10:30, 10:30] = 1
    found = meaning(meaning.see(torch.rand(2, 3, 40, 60), mask))
    assert found.shape == (2, MEANING)
    found.sum().backward()
    assert meaning.bottleneck.weight.grad is not None
    assert all(weights.grad is None for weights in meaning.encoder.parameters())


def test_what_is_read_besides_counts_for_nothing_at_first():
    torch.manual_seed(0)
    plain, more = (build("glihamba-tiny", **SMALL, **each).eval() for each in ({}, MORE))
    with torch.no_grad():
        for weights in plain.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.02)  # or every answer were the identity
    more.load_state_dict(with_silent_parts(more, plain.state_dict()))
    composite, mask = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    with torch.no_grad():
        (first, second), odds = plain.answers(composite, mask)
        (same, too), again = more.answers(composite, mask)
    assert (first.base - torch.eye(3, 10)).abs().max() > 1e-3
    for got, wanted in ((same, first), (too, second)):
        torch.testing.assert_close(got.base, wanted.base)
        torch.testing.assert_close(got.grid, wanted.grid)
    torch.testing.assert_close(again, odds)


def test_what_is_read_besides_is_read():
    torch.manual_seed(0)
    network = build("glihamba-tiny", **SMALL, **MORE)
    composite, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    torch.nn.init.normal_(network.get_parameter("head.base.weight"))
    network(composite, mask).square().sum().backward()
    columns = network.get_parameter("head.global_mlp.0.weight").grad
    assert columns is not None
    assert (columns[:, -(QUANTILES + MEANING) :].abs().amax(0) > 0).float().mean() > 0.9
