"""Details of HDNet: LD's references are background, and MGD's kernels depend on the picture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from glihamba.networks import build
from glihamba.networks.hdnet import (
    RAIN,
    LocalDynamic,
    LocalDynamicAsPublished,
    MaskAwareGlobalDynamic,
    MaskLearningDynamic,
)


def scene(size=8, channels=6, seed=0):
    """Return features, a mask four times as large, and its cells: (2..4, 3..5) and one just touched."""
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(1, channels, size, size, generator=g)
    mask = torch.zeros(1, 1, 4 * size, 4 * size)
    mask[..., 8:20, 12:24] = 1
    mask[..., 20, 12] = 0.1  # touches cell (5, 3)
    covered = torch.zeros(size, size, dtype=torch.bool)
    covered[2:5, 3:6] = True
    covered[5, 3] = True
    return features, mask, covered


@pytest.mark.parametrize("neighbours", [1, 3])
def test_ld_picks_the_nearest_background_positions_and_no_other(neighbours):
    """Compare with a loop over the positions. Without the restriction each position would choose itself."""
    features, _, covered = scene()
    tokens, background = features.flatten(2).transpose(1, 2), ~covered.flatten()[None]
    reference = LocalDynamic(6, neighbours).reference(tokens, background)
    candidates = tokens[0][background[0]]
    for index, token in enumerate(tokens[0]):
        cosine = F.cosine_similarity(candidates, token[None])
        best = cosine.argsort(descending=True)[:neighbours]
        by_hand = (cosine[best].softmax(0)[:, None] * candidates[best]).sum(0)
        torch.testing.assert_close(reference[0, index], by_hand)
    if neighbours == 1:
        picked = torch.cdist(reference[0], tokens[0]).argmin(1)
        assert not covered.flatten()[picked].any()


def test_ld_never_takes_from_the_object_even_from_a_position_just_like_it():
    features, mask, covered = scene()
    features[:, :, 2, 3] = features[:, :, 4, 5]  # a perfect match, inside the object
    local = LocalDynamic(6, 1)
    with torch.no_grad():
        before = local(features, mask)
        changed = features.clone()
        changed[:, :, 4, 5] += 10  # would reach (2, 3) if it were its reference
        changed[:, :, 5, 3] += 10  # as would the cell that the object only touches
        after = local(changed, mask)
    others = covered.clone()
    others[4, 5] = others[5, 3] = False
    assert torch.equal(before[..., others], after[..., others])
    changed = features + 3 * torch.randn_like(features) * ~covered  # but a change of the scene counts
    with torch.no_grad():
        assert not torch.equal(before[..., covered], local(changed, mask)[..., covered])


def test_ld_leaves_the_background_and_an_object_without_background_as_they_are():
    features, mask, covered = scene()
    local = LocalDynamic(6, 1)
    with torch.no_grad():
        out = local(features, mask)
        assert torch.equal(out[..., ~covered], features[..., ~covered])
        assert not torch.equal(out[..., covered], features[..., covered])
        assert torch.equal(local(features, torch.ones_like(mask)), features)


def test_ld_with_fewer_background_positions_than_neighbours_uses_those_there_are():
    features, _, _ = scene()
    tokens = features.flatten(2).transpose(1, 2).requires_grad_()
    background = torch.zeros(1, 64, dtype=torch.bool)
    background[0, 7] = True
    reference = LocalDynamic(6, 5).reference(tokens, background)
    torch.testing.assert_close(reference, tokens[:, 7:8].expand_as(reference))
    reference.sum().backward()
    assert torch.isfinite(tokens.grad).all()


def test_mgd_is_equation_6_with_kernels_of_the_picture():
    module = MaskAwareGlobalDynamic(6)
    features, mask, _ = scene()
    features = torch.cat((features, features * 2 + 1))
    with torch.no_grad():
        summary = torch.sigmoid(module.summary(features.mean((2, 3), keepdim=True)))
        kernels = module.kernels(summary).view(2, 2, 6, 6)
        out = module(features, mask.expand(2, -1, -1, -1))
    for picture in range(2):
        for inside, where in ((0, (3, 4)), (1, (0, 0))):
            by_hand = kernels[picture, inside] @ features[(picture, slice(None), *where)]
            torch.testing.assert_close(out[(picture, slice(None), *where)], by_hand)
    assert not torch.allclose(kernels[0], kernels[1]), "dynamic: another picture, other kernels"
    assert not torch.allclose(kernels[:, 0], kernels[:, 1]), "the object's are not the scene's"


def test_rain_gives_the_object_the_scene_s_mean_and_spread():
    features, mask, _ = scene(size=32, channels=3)
    mask = (F.avg_pool2d(mask, 4) == 1).float()
    features[..., mask[0, 0] == 1] = 5 + 0.1 * features[..., mask[0, 0] == 1]
    module = RAIN(3)
    with torch.no_grad():
        module.gain[1], module.shift[1] = 2, 7  # the scene's gain and shift, which must not change the object
        out = module(features, mask)
    inside, outside = out[..., mask[0, 0] == 1], features[..., mask[0, 0] == 0]
    torch.testing.assert_close(inside.mean(-1), outside.mean(-1), atol=1e-3, rtol=0)
    torch.testing.assert_close(inside.std(-1, correction=0), outside.std(-1, correction=0), atol=1e-2, rtol=0)


def test_ld_as_published_weighs_its_reference_by_a_softmax_over_positions():
    """Compare with a loop. The reference is nearly nothing; the paper's is a background position itself."""
    features, mask, _ = scene()
    covered = F.interpolate(mask, (8, 8), mode="nearest")[0, 0] > 0
    tokens, inside = features[0].flatten(1).T, covered.flatten()
    likeness = (tokens * inside[:, None]) @ (tokens * ~inside[:, None]).T
    best, where = likeness.max(1)
    by_hand = best.softmax(0)[:, None] * (tokens * ~inside[:, None])[where]
    coverage = covered.float()
    module = LocalDynamicAsPublished(6)
    reference = module.reference(features * coverage, features * (1 - coverage))
    torch.testing.assert_close(reference[0].flatten(1).T, by_hand)
    with torch.no_grad():
        out = module(features, mask)
    assert torch.equal(out[..., ~covered], features[..., ~covered])
    paper = LocalDynamic(6, 1).reference(tokens[None], ~inside[None])[0]
    assert reference[0].flatten(1).T[inside].norm() < 0.3 * paper[inside].norm()


def test_a_learned_mask_is_the_features_own():
    features, mask, _ = scene()
    module = MaskLearningDynamic(6)
    with torch.no_grad():
        assert torch.equal(module(features, mask), module(features, 1 - mask))
        assert torch.equal(module.coverage(features, mask), module.guide(features).softmax(1)[:, :1])


def test_weights_start_as_published():
    torch.manual_seed(0)
    network = build("hdnet")
    for name, weights in network.named_parameters():
        if "norms" not in name and weights.dim() == 4:
            assert abs(weights.std().item() - 0.02) < 0.002, name
        elif name.endswith("bias"):
            assert not weights.any(), name


@pytest.mark.parametrize("config", [{"local": "none", "region": "none"}, {"local": "paper", "neighbours": 5}])
def test_the_ablation_s_networks_have_only_the_parts_they_name(config):
    network = build("hdnet-lite", **config)
    modules = dict(network.named_modules())
    assert ("local" in modules) == (config["local"] != "none")
    assert ("dynamic" in modules) == (config.get("region") != "none")
    picture, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert network(picture, mask).shape == picture.shape


def test_several_neighbours_need_the_paper_s_ld():
    with pytest.raises(ValueError, match='only with local = "paper"'):
        build("hdnet", neighbours=3)
