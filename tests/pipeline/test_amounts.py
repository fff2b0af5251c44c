"""The correction's parts: their sum is the correction, and each does what its name says."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from glihamba.networks.colour_transform import ColourTransform
from glihamba.pipeline.amounts import weighed
from glihamba.pipeline.prediction import Amounts

PARTS = [field.name for field in fields(Amounts)]
NONE = Amounts(**dict.fromkeys(PARTS, 0.0))
GRAY = torch.tensor([0.2126, 0.7152, 0.0722])


@pytest.fixture
def transform() -> ColourTransform:
    random = torch.Generator().manual_seed(3)
    same = ColourTransform.identity(2)
    return ColourTransform(
        same.base + 0.1 * torch.randn(same.base.shape, generator=random),
        same.grid + 0.1 * torch.randn(same.grid.shape, generator=random),
    )


@pytest.fixture
def mean() -> Tensor:
    return torch.tensor([[0.6, 0.3, 0.2], [0.1, 0.4, 0.9]])


@pytest.fixture
def colours() -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def correction(transform: ColourTransform, mean: Tensor, amounts: Amounts, colours: Tensor) -> Tensor:
    return weighed(transform, mean, amounts).apply(colours) - colours


def luma(colours: Tensor) -> Tensor:
    return torch.einsum("c,bcyx->byx", GRAY, colours)


def test_all_parts_are_the_transform_bit_by_bit(transform: ColourTransform, mean: Tensor) -> None:
    same = weighed(transform, mean, Amounts())
    assert torch.equal(same.base, transform.base)
    assert torch.equal(same.grid, transform.grid)


def test_no_part_changes_nothing(transform: ColourTransform, mean: Tensor, colours: Tensor) -> None:
    assert correction(transform, mean, NONE, colours).abs().max() < 1e-6


def test_the_parts_add_up(transform: ColourTransform, mean: Tensor, colours: Tensor) -> None:
    parts = [correction(transform, mean, replace(NONE, **{name: 1.0}), colours) for name in PARTS]
    assert all(part.abs().max() > 0.01 for part in parts)
    assert torch.allclose(sum(parts, torch.zeros(())), transform.apply(colours) - colours, atol=1e-5)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("amount", [-1.0, 0.5, 2.0])
def test_an_amount_multiplies_its_part(
    transform: ColourTransform, mean: Tensor, colours: Tensor, name: str, amount: float
) -> None:
    whole = correction(transform, mean, Amounts(), colours)
    part = correction(transform, mean, replace(NONE, **{name: 1.0}), colours)
    found = correction(transform, mean, replace(Amounts(), **{name: amount}), colours)
    assert torch.allclose(found, whole + (amount - 1) * part, atol=1e-5)


def test_light_and_contrast_are_gray(transform: ColourTransform, mean: Tensor, colours: Tensor) -> None:
    for name in ("light", "contrast"):
        part = correction(transform, mean, replace(NONE, **{name: 1.0}), colours)
        assert torch.allclose(part, part[:, :1].expand_as(part), atol=1e-6), name


def test_warmth_and_saturation_keep_the_luma(
    transform: ColourTransform, mean: Tensor, colours: Tensor
) -> None:
    for name in ("warmth", "saturation"):
        part = correction(transform, mean, replace(NONE, **{name: 1.0}), colours)
        assert luma(part).abs().max() < 1e-6, name


def test_light_and_warmth_are_what_the_mean_colour_gets(transform: ColourTransform, mean: Tensor) -> None:
    """Contrast and saturation leave it alone, and the two others give it all of the even correction."""
    flat = mean[:, :, None, None].expand(2, 3, 4, 4)
    even = replace(Amounts(), local=0.0)
    spread = correction(transform, mean, replace(NONE, contrast=1.0, saturation=1.0), flat)
    assert spread.abs().max() < 1e-6
    shift = correction(transform, mean, replace(NONE, light=1.0, warmth=1.0), flat)
    assert torch.allclose(shift, correction(transform, mean, even, flat), atol=1e-6)


def test_the_local_part_averages_out(transform: ColourTransform, mean: Tensor) -> None:
    flat = mean[:, :, None, None].expand(2, 3, 4, 4)  # a pixel for each cell
    part = correction(transform, mean, replace(NONE, local=1.0), flat)
    assert part.abs().max() > 0.01
    assert part.mean(dim=(2, 3)).abs().max() < 1e-6
