"""The protocols against cases computed by hand that tell them apart, and SSIM against torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.scoring.best_of import best_of
from glihamba_training.scoring.evaluate import evaluate
from glihamba_training.scoring.protocols import PERFECT, PROTOCOLS, Planes
from glihamba_training.scoring.similarity import ssim, ssim_7x7

FLAT = 100
DOWNSIZED = sorted(set(PROTOCOLS) - {"fullres"})


def flat(mask, composite, real=FLAT):
    """A triple from a (H,W) mask and levels or (H,W) planes of levels."""
    levels = [
        np.broadcast_to(np.asarray(p, np.uint8)[..., None], (*mask.shape, 3)).copy()
        for p in (composite, real)
    ]
    return Triple("made", "made", levels[0], mask, levels[1])


def square(size, part=2):
    mask = np.zeros((size, size), np.uint8)
    mask[: size // part, : size // part] = 255
    return mask


def decibels(mse, spread):
    return pytest.approx(10 * np.log10(spread**2 / mse), abs=1e-3)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_where_nothing_tells_them_apart_they_agree(name):
    """A 256 x 256 picture with a hard mask, a quarter of which is wrong by 10 levels."""
    mask = square(256)
    triple = flat(mask, np.where(mask, 110, FLAT))
    scores = PROTOCOLS[name](triple, None)
    assert scores.mse == pytest.approx(100 / 4)
    assert scores.fmse == pytest.approx(100)
    assert scores.psnr == decibels(25, {"dovenet": 10, "idih": 100}.get(name, 255))
    assert PROTOCOLS[name].planes(triple).ratio == pytest.approx(1 / 4)


def test_the_ranges_of_psnr():
    """An output of 80 and 160 and a target of 0 and 240, off by 80 everywhere."""
    mask = square(256, 1)
    left = np.arange(256)[None, :] < 128
    triple = flat(mask, np.where(left, 80, 160), np.where(left, 0, 240))
    expected = {"strict": 255, "dovenet": 80, "idih": 240, "gtbg": 255, "fullres": 255}
    for name, spread in expected.items():
        assert PROTOCOLS[name](triple, None).psnr == decibels(6400, spread), name


def test_antialias_or_not():
    """Lines of 0 and 200: averaged to 100 with antialias; bilinear alone takes two of the four pixels it
    covers, here always the same two."""
    lines = np.zeros((1024, 1024), np.uint8)
    lines[:, 1::4] = lines[:, 2::4] = 200
    triple = flat(square(1024, 1), lines, 0)
    for name in DOWNSIZED:
        expected = 200 if name == "idih" else 100
        inside = PROTOCOLS[name].planes(triple).composite[..., 8:-8] * 255
        assert inside.mean() == pytest.approx(expected, abs=1), name
        assert PROTOCOLS[name](triple, None).mse == pytest.approx(expected**2, rel=0.05), name


def test_soft_masks_stay_soft_or_become_one_bit():
    """Coverage of 200/255 over the whole picture, off by 10: dithering makes 200 of 255 pixels full."""
    mask = np.full((256, 256), 200, np.uint8)
    triple = flat(mask, 110)
    share = 200 / 255
    for name in PROTOCOLS:
        planes = PROTOCOLS[name].planes(triple)
        levels = planes.mask.unique().tolist()
        assert levels == pytest.approx([0, 1] if name in ("dovenet", "gtbg") else [share]), name
        assert planes.ratio == pytest.approx(share, abs=0.005), name
    scores = {name: PROTOCOLS[name](triple, None) for name in PROTOCOLS}
    # The whole picture is wrong. Each protocol counts another part of it as foreground.
    for name, share_counted in {
        "strict": 1,
        "dovenet": 1,
        "idih": 1,
        "gtbg": share,
        "fullres": share,
    }.items():
        assert scores[name].mse == pytest.approx(100 * share_counted, rel=0.01), name
    # Over the foreground's area, strict counts all that is covered at all, the others by coverage.
    for name, fmse in {
        "strict": 100 / share,
        "dovenet": 100,
        "idih": 100,
        "gtbg": 100,
        "fullres": 100,
    }.items():
        assert scores[name].fmse == pytest.approx(fmse, rel=0.01), name


def test_the_mask_is_resized_by_area_by_two_pixels_or_by_the_nearest():
    """A mask of single lines, one in four, at 1024: a quarter covered."""
    mask = np.zeros((1024, 1024), np.uint8)
    mask[:, ::4] = 255
    middle = {
        name: PROTOCOLS[name].planes(flat(mask, FLAT)).mask[..., 8:-8].unique().tolist() for name in DOWNSIZED
    }
    assert middle["strict"][0] > 0.1
    assert middle["strict"][-1] < 0.4
    assert middle["idih"] == [0.0]
    assert middle["dovenet"] == middle["gtbg"]
    assert set(middle["dovenet"]) <= {0.0, 1.0}


def test_damage_to_the_background():
    """10 levels off in the quarter that is masked, 50 in a sixteenth that is not."""
    mask = square(256)
    composite = np.where(mask, 110, FLAT)
    composite[-64:, -64:] += 50
    triple = flat(mask, composite)
    for name in PROTOCOLS:
        counted = 100 / 4 if name in ("gtbg", "fullres") else 100 / 4 + 2500 / 16
        scores = PROTOCOLS[name](triple, None)
        assert scores.mse == pytest.approx(counted), name
        assert scores.fmse == pytest.approx(100), name


@pytest.mark.parametrize(("more", "rounded", "truncated"), [(0.4, 0, 0), (0.6, 1, 0)])
def test_answers_are_rounded_or_truncated_to_eight_bits_or_not(more, rounded, truncated):
    """Errors of 0.4 and 0.6 levels."""
    real = torch.full((1, 3, 256, 256), FLAT / 255)
    planes = Planes(real, torch.ones(1, 1, 256, 256), real)
    expected = {
        "strict": rounded,
        "dovenet": truncated,
        "idih": more**2,
        "gtbg": truncated,
        "fullres": rounded,
    }
    for name, protocol in PROTOCOLS.items():
        scores = protocol.score(real + more / 255, planes)
        assert scores.mse == pytest.approx(expected[name], abs=1e-4), name
        assert (scores.psnr == PERFECT) == (expected[name] == 0), name


def test_dark_levels_lose_one_on_their_way_through_minus_one_to_one():
    """DoveNet and RainNet scale to [-1, 1] and back before they truncate: 1 to 63 become 0 to 62 there."""
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)).copy()
    dark = (np.arange(256) > 0) & (np.arange(256) < 64)
    black = Triple("made", "made", levels, np.full((256, 256), 255, np.uint8), np.zeros_like(levels))
    for name in ("dovenet", "gtbg"):
        squared = (np.arange(256) - dark).astype(float) ** 2
        assert PROTOCOLS[name](black, None).mse == pytest.approx(squared.mean()), name


def test_the_network_sees_the_real_background_under_gtbg_alone():
    """A composite whose background was damaged too: 50 levels off beside the mask."""
    mask = square(256)
    composite = np.where(mask, 110, FLAT)
    composite[-64:, -64:] += 50
    triple = flat(mask, composite)

    class Seeing(Harmonizer):
        def forward(self, composite: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            self.seen = composite
            return composite

    for name in DOWNSIZED:
        network = Seeing()
        PROTOCOLS[name](triple, network)
        beside = network.seen[0, 0, -1, -1] * 255
        assert beside == pytest.approx(FLAT if name == "gtbg" else FLAT + 50, abs=1e-3), name
        assert network.seen[0, 0, 0, 0] * 255 == pytest.approx(110, abs=1e-3), name


def test_the_sevenfold_window_counts_as_scikit_image_does():
    """Each window by its definition: sample variances, and only windows that lie wholly in the picture."""
    random = np.random.default_rng(8)
    a, b = random.integers(0, 255, (2, 3, 12, 9)).astype(float)
    windows = []
    for channel in range(3):
        for y in range(12 - 6):
            for x in range(9 - 6):
                part = np.stack([p[channel, y : y + 7, x : x + 7].ravel() for p in (a, b)])
                (var_a, both), (_, var_b) = np.cov(part)
                (mean_a, mean_b), c1, c2 = part.mean(1), 2.55**2, 7.65**2
                windows.append(
                    (2 * mean_a * mean_b + c1)
                    * (2 * both + c2)
                    / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
                )
    got, wanted = (torch.tensor(p[None], dtype=torch.float32) for p in (a, b))
    assert ssim_7x7(got, wanted) == pytest.approx(np.mean(windows), abs=1e-9)
    assert ssim_7x7(got, got) == 1
    assert np.isnan(ssim_7x7(got[..., :6], wanted[..., :6]))


def test_opencv_rounds_halves_up():
    """Two pixels of 1 and 2 in one: 1.5 becomes 2, and 2.5 becomes 3 where other resizes give 2."""
    pair = np.tile(np.array([[1, 2, 2, 3]], np.uint8), (512, 128))
    halves = PROTOCOLS["idih"].planes(flat(square(512), pair)).composite[0, 0, 0] * 255
    assert halves[:2].tolist() == pytest.approx([2, 3])


def test_only_fullres_is_at_full_size():
    triple = flat(square(300), FLAT)
    assert PROTOCOLS["fullres"].planes(triple).real.shape[-2:] == (300, 300)
    for name in DOWNSIZED:
        assert PROTOCOLS[name].planes(triple).real.shape[-2:] == (256, 256), name


@pytest.mark.parametrize(
    "box", [(0, 60, 0, 90), (0, 1, 0, 1), (59, 60, 80, 90), (20, 50, 30, 33), (3, 4, 40, 60), (33, 34, 0, 90)]
)
def test_similarity_is_torchmetrics(box):
    generator = torch.Generator().manual_seed(3)
    wanted = (torch.rand(1, 3, 60, 90, generator=generator) * 255).round()
    got = wanted.clone()
    top, bottom, left, right = box
    got[:, :, top:bottom, left:right] = (got[:, :, top:bottom, left:right] * 0.7 + 20).round()
    theirs_as_tensor: Any = structural_similarity_index_measure(got, wanted, data_range=255.0)
    theirs = float(theirs_as_tensor)
    assert ssim(got, wanted) == pytest.approx(theirs, abs=2e-6)
    assert theirs < 1


@pytest.mark.parametrize("box", [(30, 50, 70, 88), (0, 3, 0, 3), (57, 60, 40, 90), (0, 60, 0, 90)])
def test_similarity_behind_a_mask_is_the_whole_pictures(box):
    """Only the surroundings of the mask are computed, and the score is that of the whole picture."""
    random = np.random.default_rng(5)
    real = random.integers(0, 255, (60, 90, 3), np.uint8)
    mask = np.zeros((60, 90), np.uint8)
    top, bottom, left, right = box
    mask[top:bottom, left:right] = random.integers(100, 255, (bottom - top, right - left), np.uint8)
    composite = random.integers(0, 255, (60, 90, 3), np.uint8)
    scores = PROTOCOLS["fullres"](Triple("made", "made", composite, mask, real), None)
    share = mask[..., None] / 255
    blended = (real + share * (composite.astype(float) - real)).transpose(2, 0, 1)[None]
    got, wanted = (torch.tensor(p, dtype=torch.float32) for p in (blended, real.transpose(2, 0, 1)[None]))
    theirs_as_tensor: Any = structural_similarity_index_measure(got, wanted, data_range=255.0)
    theirs = float(theirs_as_tensor)
    assert scores.ssim == pytest.approx(theirs, abs=2e-6)
    squared = share * (composite.astype(float) - real) ** 2
    assert scores.mse == pytest.approx(squared.mean(), rel=1e-5)
    assert scores.fmse == pytest.approx(squared.mean() * share.size / share.sum(), rel=1e-5)


def test_similarity_of_equal_and_of_tiny_pictures():
    picture = torch.rand(1, 3, 40, 40) * 255
    assert ssim(picture, picture.clone()) == 1.0
    assert np.isnan(ssim(picture[..., :5, :5], picture[..., 5:10, 5:10]))


def test_a_protocol_at_another_side_is_the_same_at_that_side():
    triple = flat(square(300), np.where(square(300), 110, FLAT))
    for name in DOWNSIZED:
        large = PROTOCOLS[f"{name}@1024"]
        assert large.planes(triple).real.shape[-2:] == (1024, 1024)
        assert large(triple, None).fmse == pytest.approx(100, rel=0.01)
        assert "1024 x 1024" in large.in_words
    for wrong in ("strict@512", "fullres@1024", "other@1024"):
        with pytest.raises(KeyError):
            PROTOCOLS[wrong]


def test_a_batch_scores_what_single_pictures_score():
    random = np.random.default_rng(3)
    triples = []
    for number in range(5):
        real = random.integers(60, 200, (96, 120, 3), np.uint8)
        mask = np.zeros((96, 120), np.uint8)
        mask[20:70, 30 : 60 + 10 * number] = 255
        triples.append(Triple(f"t{number}", "made", (real * 0.7).astype(np.uint8), mask, real))
    network = build("glihamba-tiny", width=8, encoder=(1, 1, 1), answers=3).eval()
    methods = {"one": network, "best": best_of(network), "composite": None}
    single, batched = (evaluate(triples, methods, ["strict", "gtbg", "fullres"], batch=n) for n in (1, 3))
    alone = {(r.protocol, r.model, r.picture): r.scores.psnr for r in single}
    assert len(alone) == 45
    for row in batched:
        expected = alone[row.protocol, row.model, row.picture]
        assert row.scores.psnr == pytest.approx(expected, abs=1e-3)
