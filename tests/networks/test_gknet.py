"""Details of GKNet: each pixel and channel has its own kernel, at every level."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from glihamba.networks import build
from glihamba.networks.gknet import SelectiveCorrelationFusion, modulate

NARROW = {"width": 8, "layers": 1}


def pictures(size=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.zeros(1, 1, size, size)
    mask[..., 8:20, 8:20] = 1
    return torch.rand(1, 3, size, size, generator=g), mask


def predicted(network, composite):
    """Return the encoder's features and the kernels of all levels that it predicts from them."""
    x = torch.cat((2 * composite - 1, torch.zeros_like(composite[:, :1])), 1)
    features: list[torch.Tensor] = []
    for layers in network.encoder:
        x = layers(F.max_pool2d(x, 2) if features else x)
        features.append(x)
    return features, network.predict_kernels(features)


def test_kernels_are_per_pixel_and_per_channel_at_every_level():
    network: Any = build("gknet", **NARROW).eval()
    composite, _ = pictures()
    with torch.no_grad():
        features, kernels = predicted(network, composite)
    assert len(kernels) == 4
    for kernel, feature in zip(kernels, reversed(features), strict=True):
        batch, channels, height, width = feature.shape
        assert kernel.shape == (batch, channels, 9, height, width)
        assert (kernel.std((3, 4)) > 0).all(), "not one kernel for the whole level"
        assert (kernel.std(1) > 0).all(), "nor one for all channels"


def test_every_level_s_kernels_take_part_in_the_answer():
    network: Any = build("gknet", **NARROW).eval()
    composite, mask = pictures()
    with torch.no_grad():
        before = network(composite, mask)
        for block in network.kernels:
            bias = block.kernel.bias.clone()
            block.kernel.bias += 0.1
            assert not torch.equal(network(composite, mask), before)
            block.kernel.bias.copy_(bias)
        assert torch.equal(network(composite, mask), before)


def test_modulation_is_equation_6():
    g = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 5, 6, generator=g)
    kernels = torch.randn(2, 3, 9, 5, 6, generator=g)
    around = F.unfold(features, 3, padding=1).view(2, 3, 9, 5, 6)
    torch.testing.assert_close(modulate(features, kernels), (around * kernels).sum(2))
    one = torch.zeros_like(kernels)
    one[:, :, 1, 2, 3] = 1  # the pixel at (2, 3) reads the neighbour above; all others read nothing
    out = modulate(features, one)
    assert torch.equal(out[..., 2, 3], features[..., 1, 3])
    assert out.count_nonzero() == features[..., 1, 3].count_nonzero()


def test_kernels_begin_as_the_identity():
    network: Any = build("gknet", **NARROW).eval()
    composite, _ = pictures()
    with torch.no_grad():
        _, kernels = predicted(network, composite)
    for kernel in kernels:
        assert (kernel[:, :, 4] - 1).abs().max() < 0.2
        assert kernel[:, :, [0, 1, 2, 3, 5, 6, 7, 8]].abs().max() < 0.2


def test_a_far_corner_reaches_every_kernel_through_the_reference():
    """LRE lets a kernel at one end of a large picture depend on the other end."""
    torch.manual_seed(0)  # of some first weights nothing is left after so many layers
    network: Any = build("gknet", **NARROW).eval()
    composite, _ = pictures(128)
    other = composite.clone()
    other[..., :8, :8] = 1 - other[..., :8, :8]
    with torch.no_grad():
        for block in network.kernels:
            block.fuse.select[0].weight.zero_()  # so that only the features pass it on
            block.fuse.select[1].weight.zero_()
            for mlp in block.fuse.vectors:
                mlp[-1].weight.zero_()
        kernels, changed = (predicted(network, c)[1] for c in (composite, other))
    for before, after in zip(kernels, changed, strict=True):
        assert (before - after)[..., -1, -1].abs().max() > 0


def test_scf_weighs_channels_by_the_correlation_of_both_sources():
    """Compare with Eq. 2 to 4, computed by hand."""
    torch.manual_seed(0)
    module = SelectiveCorrelationFusion(16, 8, groups=4)
    encoded, below = torch.randn(2, 8, 6, 6), torch.randn(2, 16, 3, 3)
    with torch.no_grad():
        module.strength.fill_(0.7)
        out = module(encoded, below)
        ours, theirs = module.convolutions[0](encoded), module.convolutions[1](below)
        alpha_e, alpha_k = (
            mlp(x.mean((2, 3))) for mlp, x in zip(module.vectors, (ours, theirs), strict=True)
        )
        for b in range(2):
            correlation = alpha_k[b].view(4, 2) @ alpha_e[b].view(4, 2).T
            factor = (module.factors.weight[:, 0] * correlation).sum((1, 2)) + module.factors.bias
            select_e = torch.sigmoid(alpha_e[b] + 0.7 * module.select[0](factor[:8]))
            select_k = torch.sigmoid(alpha_k[b] + 0.7 * module.select[1](factor[8:]))
            lower = F.interpolate(
                (select_k[:, None, None] * theirs[b])[None], (6, 6), mode="bilinear", align_corners=False
            )
            by_hand = select_e[:, None, None] * ours[b] + lower[0]
            torch.testing.assert_close(out[b], by_hand, atol=1e-5, rtol=1e-5)
        moved = module(
            encoded + 1, below
        )  # another encoder feature changes how much of `below` is let through
    assert not torch.allclose(moved - out, (moved - out)[:, :1].expand_as(out))
