"""Protocols by hand, and the scores of real models on real and made pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glihamba.networks import build
from glihamba_training.data.iharmony4 import Triple, read_triples
from glihamba_training.scoring.best_of import best_of
from glihamba_training.scoring.evaluate import evaluate, summarise, val_triples
from glihamba_training.scoring.protocols import PERFECT, PROTOCOLS, Planes

strict, fullres = PROTOCOLS["strict"], PROTOCOLS["fullres"]


def triple(difference=10, size=256):
    real = np.full((size, size, 3), (130, 100, 70), np.uint8)  # what is gray all over is left as it is
    mask = np.zeros((size, size), np.uint8)
    mask[: size // 2, : size // 2] = 255
    composite = real.copy()
    composite[mask > 0] = real[0, 0].astype(int) + difference
    return Triple("t", "made", composite, mask, real)


def test_scores_by_hand():
    scores = strict(triple(), None)
    assert scores.mse == pytest.approx(100 / 4)
    assert scores.fmse == pytest.approx(100)
    assert scores.psnr == pytest.approx(10 * np.log10(255**2 / 25), abs=1e-4)
    assert fullres(triple(), None).psnr == pytest.approx(scores.psnr, abs=1e-4)


def test_a_perfect_picture_is_finite():
    image = torch.rand(1, 3, 8, 8)
    assert strict.score(image, Planes(image, torch.ones(1, 1, 8, 8), image)).psnr == PERFECT


def test_strict_counts_the_whole_picture_and_fullres_only_the_mask():
    damaged = triple()
    damaged.composite[200:, 200:] += 50
    assert strict(damaged, None).mse > 2 * strict(triple(), None).mse
    assert fullres(damaged, None).mse == pytest.approx(fullres(triple(), None).mse)


def test_transform_networks_are_applied_at_the_protocols_size():
    network = build("glihamba-tiny").eval()
    fresh = strict(triple(), network)
    assert fresh.psnr == pytest.approx(strict(triple(), None).psnr, abs=1e-3), "the identity"
    with torch.no_grad():
        network.get_parameter("head.base.bias").view(3, 10)[:, 0] = -10 / 255
    assert strict(triple(), network).fmse < 5, "a shift of -10 takes the object back"
    assert fullres(triple(), network).fmse < 5


def test_summary_counts_what_got_worse(photo_shards):
    network = build("glihamba-tiny").eval()
    with torch.no_grad():
        network.get_parameter("head.base.bias").view(3, 10)[:, 0] = torch.tensor(
            [1.0, 0.0, -1.0]
        )  # orange, whatever it was
    rows = evaluate(val_triples(photo_shards, 4), {"composite": None, "orange": network}, ["strict"])
    before, orange = summarise(rows)
    assert (before.pictures, before.worsened) == (4, 0)
    assert orange.worsened >= 3  # strong recolourings may be even worse
    assert orange.psnr < before.psnr


def test_val_triples_are_fixed(photo_shards):
    first, again = list(val_triples(photo_shards, 3)), list(val_triples(photo_shards, 3))
    for a, b in zip(first, again, strict=True):
        assert (a.composite == b.composite).all()
        assert a.composite.shape == (256, 256, 3)
        assert 0 < (a.mask > 127).mean() < 0.7
        assert (a.composite[a.mask == 0] == a.real[a.mask == 0]).all()


def test_a_folder_that_is_no_iharmony4_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a copy of iHarmony4: IHD_test\.txt is missing"):
        list(read_triples(tmp_path))
    (tmp_path / "IHD_test.txt").write_text("HFlickr/composite_images/f1_1_1.jpg\n")
    with pytest.raises(
        FileNotFoundError, match=r"names HFlickr/composite_images/f1_1_1\.jpg: .*1_1\.jpg is missing"
    ):
        list(read_triples(tmp_path))


@pytest.mark.shared
def test_composite_of_the_sample_scores_as_published_tools_say(shared_data):
    rows = evaluate(
        read_triples(shared_data / "iharmony4_sample"), {"composite": None}, ["strict", "fullres"]
    )
    at_256, full = summarise(rows)
    assert at_256.pictures == 9
    assert at_256.psnr == pytest.approx(23.3, abs=0.1)
    assert full.psnr == pytest.approx(23.21, abs=0.01)


def test_a_network_is_asked_once_for_the_best_of_its_answers():
    network = build("glihamba-tiny", answers=3).eval()
    best = best_of(network)
    assert best is not None
    asked: list[int] = []
    network.get_submodule("stem").register_forward_hook(lambda *_: asked.append(1))
    pictures = [(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)) for _ in range(2)]
    for composite, mask in [*pictures, pictures[0]]:
        found = [one.colour_transform(composite.clone(), mask) for one in best.each]
        wanted = network.answers(composite, mask).transforms
        assert all(torch.equal(f.base, w.base) for f, w in zip(found, wanted, strict=True))
    assert len(asked) == 2 * 3, "once for the three, and once by hand"


def test_the_best_of_several_answers_is_scored_beside_the_first(own_home):
    network = build("glihamba-tiny", answers=3).eval()
    with torch.no_grad():
        shift = network.get_parameter("head.others.change.bias").view(2, 3, 10)[:, :, 0]
        shift[0], shift[1] = -10 / 255, 10 / 255
    best = best_of(network)
    assert best is not None
    assert best_of(build("glihamba-tiny")) is None
    pictures = [triple(10), triple(-10), triple(0)]
    rows = evaluate(pictures, {"first": network, "best": best}, ["strict", "fullres"])
    error = {name: [r.scores.fmse for r in rows if r.model == name] for name in ("first", "best")}
    assert max(error["best"]) < 5, "one answer for each"
    assert max(error["first"]) > 90
    alone = strict(triple(10), best.each[0])
    assert alone.fmse == pytest.approx(strict(triple(10), network).fmse), "the first is the network's own"
