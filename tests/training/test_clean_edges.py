"""Composites without a seam of the object's true colours at its border."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from glihamba_training.data.photos import photo_dataset
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.clean_edges import with_clean_edges
from glihamba_training.synthesis.composites import Synthesis
from glihamba_training.synthesis.settings import SynthesisSettings

RED, BLUE, GREEN = (
    (torch.tensor(c).view(1, 3, 1, 1)) for c in ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9), (0.1, 0.9, 0.1))
)


def blurred_disc(radius: float = 20.0) -> tuple[Batch, torch.Tensor]:
    """A red disc on blue with a blurred edge, recoloured green inside its mask; and how far each pixel is."""
    across = torch.arange(96) - 47.5
    distance = (across[:, None] ** 2 + across**2).sqrt()[None, None]
    cover = ((radius - distance) / 2.5 + 0.5).clamp(0, 1)  # what the lens saw
    mask = (radius - distance + 0.5).clamp(0, 1)
    real = cover * RED + (1 - cover) * BLUE
    green = real[:, [1, 0, 2]]
    return Batch(mask * green + (1 - mask) * real, mask, real), distance


def test_the_seam_of_true_colours_is_gone():
    before, distance = blurred_disc()
    after = with_clean_edges(before)
    outside = (distance > 20.5) & (distance < 24)
    assert before.composite[:, :1][outside].max() > 0.25, "there is red around the green disc"
    assert after.composite[:, :1][outside].max() < 0.13
    torch.testing.assert_close(
        after.composite, after.mask * GREEN + (1 - after.mask) * BLUE, atol=0.05, rtol=0
    )
    torch.testing.assert_close(after.real, after.mask * RED + (1 - after.mask) * BLUE, atol=0.05, rtol=0)


def test_away_from_the_border_nothing_changes():
    before, distance = blurred_disc()
    after = with_clean_edges(before)
    away = ((distance - 20).abs() > 5).expand_as(before.real)
    for new, old in ((after.composite, before.composite), (after.real, before.real)):
        assert torch.equal(new[away], old[away])
    assert (after.mask - (before.mask > 0.5).float()).abs().max() <= 0.5


def test_a_speck_keeps_its_edges():
    before, _ = blurred_disc(1.5)
    for new, old in zip(with_clean_edges(before), before, strict=True):
        assert torch.equal(new, old)


def test_composites_and_their_truth_share_what_is_outside(photo_shards):
    dataset = photo_dataset(photo_shards, "train", 64)
    batch = Synthesis(dataset, SynthesisSettings(unchanged=0.0, clean_edges=1.0), 0).batch(0, 64, 8)
    outside = F.max_pool2d(batch.mask, 3, 1, 1) == 0
    assert ((batch.composite - batch.real).abs() * outside).max() == 0
    plain = Synthesis(dataset, SynthesisSettings(unchanged=0.0), 0).batch(0, 64, 8)
    assert (batch.composite - plain.composite).abs().max() > 0.05
    assert batch.composite.min() >= 0
    assert batch.composite.max() <= 1
