"""The corrections to choose from: a network's own answers, or what is added to a single one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glihamba.networks import build
from glihamba.networks.base import Harmonizer
from glihamba.pipeline.harmonize import harmonize, predict


def shifting(*shifts: float) -> Harmonizer:
    """A fresh `glihamba-tiny` of three answers that add so much light, with odds of 2 : 1 : 1."""
    network = build("glihamba-tiny", answers=3).eval()
    with torch.no_grad():
        network.get_parameter("head.base.bias").view(3, 10)[:, 0] = shifts[0]
        others = network.get_parameter("head.others.change.bias").view(2, 3, 10)
        for other, shift in zip(others, shifts[1:], strict=True):
            other[:, 0] = shift - shifts[0]
        network.get_parameter("head.others.change.weight").zero_()
        network.get_parameter("head.others.odds.weight").zero_()
        network.get_parameter("head.others.odds.bias").copy_(torch.tensor([np.log(2), 0.0, 0.0]))
    return network


@pytest.fixture
def pasted(picture) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:60] = 255
    return picture(60, 80) // 2 + 60, mask


def test_a_network_s_own_answers_come_with_their_odds_and_distances(pasted):
    composite, mask = pasted
    network = shifting(0.1, 0.05, -0.1)
    variants, _ = predict(composite, mask, network)
    assert [variant.kind for variant in variants] == ["model"] * 3
    assert [variant.strength for variant in variants] == [1.0] * 3
    assert [variant.probability for variant in variants] == pytest.approx([0.5, 0.25, 0.25])
    assert [variant.apart for variant in variants] == pytest.approx([0, 12.75, 51], abs=0.1)


def test_each_answer_is_applied_as_it_was_predicted(pasted):
    composite, mask = pasted
    variants, _ = predict(composite, mask, shifting(0.1, 0.05, -0.1))
    moved = [
        (harmonize(composite, mask, variant.prediction).pixels.astype(int) - composite)[mask > 0].mean()
        for variant in variants
    ]
    assert moved == pytest.approx([25.5, 12.75, -25.5], abs=0.6)


def test_what_is_harmonized_is_the_first(pasted):
    composite, mask = pasted
    network = shifting(0.1, 0.05, -0.1)
    (first, *_), _ = predict(composite, mask, network)
    whole = harmonize(composite, mask, network).pixels
    assert np.array_equal(harmonize(composite, mask, first.prediction).pixels, whole)
