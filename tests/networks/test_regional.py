"""Details of the regional references: masked attention, overlapping patches, masked statistics."""

from __future__ import annotations

import pytest
import torch

from glihamba.networks.regional import LocationsToLocation, PatchesToLocation, related


def scene(size, channels=4, cell=2, seed=0):
    """Features, and a mask `cell` times as large whose object covers rows and columns [size/4, size/2)."""
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(1, channels, size, size, generator=g)
    mask = torch.zeros(1, 1, cell * size, cell * size)
    mask[..., cell * size // 4 : cell * size // 2, cell * size // 4 : cell * size // 2] = 1
    inside = torch.zeros(size, size, dtype=torch.bool)
    inside[size // 4 : size // 2, size // 4 : size // 2] = True
    return features, mask, inside


def test_ltl_s_references_are_a_mixture_of_background_locations_only():
    """Compare with Eq. 1, computed by hand. With the object's tokens as keys, each would find itself."""
    features, _, inside = scene(8)
    tokens, background = features.flatten(2).transpose(1, 2), ~inside.flatten()[None]
    out = related(tokens, background)
    keys = tokens[0][background[0]]
    torch.testing.assert_close(out[0], (tokens[0] @ keys.T).softmax(-1) @ keys)
    moved = tokens.clone()
    moved[0][inside.flatten()] += 5
    torch.testing.assert_close(related(moved, background)[0][background[0]], out[0][background[0]])


def test_ltl_leaves_the_background_s_tokens_and_fuses_the_object_s():
    features, mask, inside = scene(8, channels=16)
    module = LocationsToLocation(16)
    with torch.no_grad():
        out = module(features, mask)
        attended = module(features, torch.ones_like(mask))  # no background: attention only
        module.fuse.bias.add_(1)
        moved = module(features, mask)
    assert torch.equal(out[..., ~inside], attended[..., ~inside])
    assert not torch.allclose(out[..., inside], attended[..., inside])
    assert torch.equal(moved[..., ~inside], out[..., ~inside])
    torch.testing.assert_close(moved[..., inside], out[..., inside] + 1)


@pytest.mark.parametrize(("size", "patch", "stride"), [(128, 16, 4), (64, 8, 2), (32, 4, 1)])
def test_ptl_s_patches_overlap_and_their_statistics_count_the_background_only(size, patch, stride):
    """Compare with Eq. 3 patch by patch: 29 x 29 patches of 1/8 of the side, at steps of 1/32."""
    features, _, inside = scene(size)
    features = features * 0.3 + 4
    background = (~inside).float()[None, None]
    with torch.no_grad():
        share, mean, spread, _ = PatchesToLocation().describe(features, background)
    assert share.shape == (1, 1, 29, 29)
    assert (share == 0).any(), "some patches lie wholly inside the object"
    for row, column in [(0, 0), (4, 5), (7, 7), (5, 20), (28, 28)]:
        window = (slice(row * stride, row * stride + patch), slice(column * stride, column * stride + patch))
        seen = features[0][(slice(None), *window)][:, ~inside[window]]
        torch.testing.assert_close(mean[0, :, row, column], seen.mean(1), atol=1e-4, rtol=1e-4)
        expected = (seen.var(1, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(spread[0, :, row, column], expected, atol=1e-3, rtol=1e-3)


def test_ptl_s_content_is_the_normalised_patch_squeezed_by_one_linear_projection():
    features, _, inside = scene(128)
    background = (~inside).float()[None, None]
    module = PatchesToLocation()
    with torch.no_grad():
        _, mean, spread, content = module.describe(features, background)
    window = (slice(28, 44), slice(24, 40))  # across the object's edge: patch (7, 6)
    normalised = (features[0][(slice(None), *window)] - mean[0, :, 7, 6, None, None]) / spread[
        0, :, 7, 6, None, None
    ]
    by_hand = (normalised * background[0, 0][window] * module.squeeze[0, 0]).sum((1, 2))
    torch.testing.assert_close(content[0, :, 7, 6], by_hand, atol=1e-4, rtol=1e-3)


def test_ptl_lends_the_appearance_of_background_patches_and_reads_nothing_of_the_object_s():
    features, mask, inside = scene(64)
    module = PatchesToLocation()
    brighter = features.clone()
    brighter[..., inside] = 3 * brighter[..., inside] + 8  # another appearance, the same content
    with torch.no_grad():
        out = module(features, mask)
        torch.testing.assert_close(
            module(brighter, mask), out + (brighter - features) * ~inside, atol=1e-3, rtol=1e-3
        )
        warmer = module(features + 8.0 * ~inside, mask)  # another appearance of every background patch
    assert torch.equal(out[..., ~inside], features[..., ~inside])
    assert not torch.allclose(out[..., inside], features[..., inside])
    torch.testing.assert_close(warmer[..., inside], out[..., inside] + 8, atol=1e-2, rtol=1e-2)


def test_ptl_adapts_each_location_to_the_patches_like_it():
    """The halves of the scene differ in spread, so locations get different mixtures."""
    features, mask, inside = scene(64)
    features[..., 32:] = features[..., 32:] * 4 + 3
    module = PatchesToLocation()
    with torch.no_grad():
        module.squeeze.mul_(4)
        share, mean, spread, content = module.describe(features, (~inside).float()[None, None])
        out = module(features, mask)[0][:, inside]
        usable = share[0, 0] > 0
        tokens = features[0][:, inside]
        tokens = ((tokens - tokens.mean(1, keepdim=True)) / tokens.std(1, correction=0, keepdim=True)).T
        likeness = (tokens @ content[0][:, usable]).softmax(-1)
        by_hand = tokens * (likeness @ spread[0][:, usable].T) + likeness @ mean[0][:, usable].T
    torch.testing.assert_close(out.T, by_hand, atol=1e-3, rtol=1e-3)
    assert likeness.max() > 2 / usable.sum(), "matching, not an average of all patches"


def test_ptl_without_background_or_object_changes_nothing():
    features, mask, _ = scene(32)
    module = PatchesToLocation()
    with torch.no_grad():
        assert torch.equal(module(features, torch.ones_like(mask)), features)
        assert torch.equal(module(features, torch.zeros_like(mask)), features)
