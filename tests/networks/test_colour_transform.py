"""The colour transform: one function at every resolution, fitted robustly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from glihamba.networks.base import Harmonizer
from glihamba.networks.colour_transform import ColourTransform, polynomial, tents


def random_transform(
    batch: int = 1, grid_shape: tuple[int, int] = (4, 4), size: float = 0.1
) -> ColourTransform:
    generator = torch.Generator().manual_seed(7)
    transform = ColourTransform.identity(batch, grid_shape)
    return ColourTransform(
        transform.base + size * torch.randn(transform.base.shape, generator=generator),
        transform.grid + size * torch.randn(transform.grid.shape, generator=generator),
    )


def test_identity_changes_nothing():
    rgb = torch.rand(2, 3, 9, 13)
    assert torch.equal(ColourTransform.identity(2, (3, 5)).apply(rgb), rgb)


def test_apply_is_the_formula_term_by_term():
    transform = random_transform(grid_shape=(2, 3))
    rgb = torch.rand(1, 3, 8, 12)
    out = transform.apply(rgb)
    y, x = 2, 7  # row 2 is at the place 2.5 * 2 / 8 - 0.5 = 0.125; column 7 at 7.5 * 3 / 12 - 0.5 = 1.375
    top, bottom = transform.grid[0, :, :, 0], transform.grid[0, :, :, 1]
    row = top * 0.875 + bottom * 0.125
    affine = row[..., 1] * 0.625 + row[..., 2] * 0.375
    r, g, b = rgb[0, :, y, x]
    terms = torch.stack((torch.tensor(1.0), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b))
    expected = transform.base[0] @ terms + affine @ torch.stack((r, g, b, torch.tensor(1.0)))
    torch.testing.assert_close(out[0, :, y, x], expected)


def test_the_grid_is_constant_beyond_its_outermost_centres():
    transform = random_transform(grid_shape=(2, 2))
    out = transform.apply(torch.full((1, 3, 64, 64), 0.5))
    torch.testing.assert_close(out[..., 0, 0], out[..., 15, 15])  # centres lie at a quarter
    assert not torch.allclose(out[..., 15, 15], out[..., 30, 30])


def test_the_same_function_of_place_at_every_resolution():
    transform = random_transform()
    small = transform.apply(torch.full((1, 3, 40, 40), 0.3))
    large = transform.apply(torch.full((1, 3, 200, 200), 0.3))  # pixel 5 k + 2 has the place of pixel k
    torch.testing.assert_close(large[..., 2::5, 2::5], small, atol=1e-6, rtol=0)


def test_tents_are_the_interpolation_apply_uses():
    cells = torch.rand(1, 1, 3, 5, dtype=torch.float64)
    expected = F.interpolate(cells, size=(11, 17), mode="bilinear", align_corners=False)
    torch.testing.assert_close(tents(3, 11) @ cells[0, 0] @ tents(5, 17).T, expected[0, 0])
    torch.testing.assert_close(tents(4, 9).sum(1), torch.ones(9, dtype=torch.float64))


def test_gradients_reach_base_grid_and_colours():
    base = random_transform(2).base.double().requires_grad_()
    grid = random_transform(2).grid.double().requires_grad_()
    rgb = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b, g, c: ColourTransform(b, g).apply(c), (base, grid, rgb))


def test_fit_recovers_a_transform():
    truth = random_transform(2, size=0.05)
    source = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    target = truth.apply(source)
    fitted = ColourTransform.fit(source, target, torch.ones(2, 1, 96, 96))
    assert fitted.base.shape == (2, 3, 10)
    assert fitted.grid.shape == (2, 3, 4, 4, 4)
    assert fitted.base.dtype == torch.float32
    error = (fitted.apply(source) - target).abs().max()
    assert error < 0.01  # not exact, because the quadratic is fitted first, and the grid to the residual


def test_fit_looks_only_where_the_weight_is():
    source = torch.rand(1, 3, 32, 32)
    weight = torch.zeros(1, 1, 32, 32)
    weight[..., 8:24, 8:24] = 1
    target = source * 0.5 + 0.2
    spoilt = torch.where(weight > 0, target, torch.full_like(target, 1e6))
    fitted = ColourTransform.fit(source, spoilt, weight)
    assert ((fitted.apply(source) - target) * weight).abs().max() < 2e-3


def test_fit_of_one_pixel_shifts_and_does_not_amplify():
    source = torch.rand(1, 3, 16, 16)
    weight = torch.zeros(1, 1, 16, 16)
    weight[..., 5, 5] = 1
    fitted = ColourTransform.fit(source, source + 0.1, weight)
    assert fitted.isfinite()
    torch.testing.assert_close(fitted.apply(source), source + 0.1, atol=1e-3, rtol=0)


def test_fit_of_a_flat_object_shifts_and_does_not_amplify():
    source = torch.full((1, 3, 16, 16), 0.4)
    fitted = ColourTransform.fit(source, source - 0.2, torch.ones(1, 1, 16, 16))
    other = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(fitted.apply(other), other - 0.2, atol=1e-3, rtol=0)


def test_fit_of_nothing_is_the_identity():
    source = torch.rand(1, 3, 8, 8)
    fitted = ColourTransform.fit(source, source + 0.3, torch.zeros(1, 1, 8, 8))
    torch.testing.assert_close(fitted.apply(source), source)


def test_cells_without_the_object_stay_at_the_global_fit():
    source = torch.rand(1, 3, 64, 64)
    weight = torch.zeros(1, 1, 64, 64)
    weight[..., :16, :16] = 1
    fitted = ColourTransform.fit(source, 0.8 * source + 0.1, weight)
    assert fitted.grid[..., 2:, 2:].abs().max() < 1e-6
    assert (fitted.apply(source) - (0.8 * source + 0.1)).abs().max() < 5e-3


def test_isfinite_sees_a_nan():
    transform = ColourTransform.identity()
    transform.grid[0, 0, 0, 0, 0] = float("nan")
    assert not transform.isfinite()


class SoftPainter(Harmonizer):
    """Paints a known transform, blended as Eq. 7."""

    def forward(self, composite, mask):
        painted = 0.7 * composite + 0.2 * composite.square()
        return composite + mask * (painted - composite)


def test_a_painting_network_is_fitted_through_its_soft_mask():
    composite = torch.rand(1, 3, 48, 48)
    mask = torch.rand(1, 1, 48, 48)
    mask[..., :4] = 0
    transform = SoftPainter().colour_transform(composite, mask)
    expected = 0.7 * composite + 0.2 * composite.square()
    assert (transform.apply(composite) - expected).abs().max() < 2e-3


def test_polynomial_order_is_the_documented_one():
    terms = polynomial(torch.tensor([2.0, 3.0, 5.0]).view(1, 3, 1, 1)).flatten()
    assert terms.tolist() == [1, 2, 3, 5, 4, 9, 25, 6, 10, 15]


class Oracle(Harmonizer):
    """Paints the real photograph."""

    def __init__(self, real):
        super().__init__()
        self.real = real

    def forward(self, composite, mask):
        return composite + (mask > 0) * (self.real - composite)


@pytest.mark.shared
@pytest.mark.slow
def test_the_form_is_not_the_limit_on_real_triples(shared_data):
    """An oracle, fitted to the real picture at 256 pixels, reaches 48 dB. The composites have 23 dB."""
    found = []
    for path in sorted((shared_data / "iharmony4_sample").glob("*/composite_images/*.jpg")):
        picture = path.stem.split("_")[0]
        files = (
            (path, "RGB"),
            (path.parent.parent / "real_images" / f"{picture}.jpg", "RGB"),
            (path.parent.parent / "masks" / f"{path.stem.rsplit('_', 1)[0]}.png", "L"),
        )
        composite, real, mask = (
            torch.from_numpy(
                np.array(Image.open(file).convert(mode).resize((256, 256), Image.Resampling.BILINEAR))
            )
            .float()
            .div(255)
            .reshape(256, 256, -1)
            .permute(2, 0, 1)[None]
            for file, mode in files
        )
        transform = Oracle(real).colour_transform(composite, mask)
        corrected = composite + mask * (transform.apply(composite) - composite)
        error = mask * (corrected.clamp(0, 1) - real)
        found.append(-10 * torch.log10(error.square().mean()).item())
    assert len(found) == 9
    assert sum(found) / 9 > 47.5
