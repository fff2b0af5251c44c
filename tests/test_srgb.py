"""The sRGB curve, for arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from glihamba.srgb import linear_to_srgb, srgb_to_linear

# IEC 61966-2-1, by hand: ends, the straight line and its knee, half the light; negative values mirrored.
PAIRS = [(0.0, 0.0), (0.002, 0.02584), (0.0031308, 0.04045), (0.5, 0.735357), (1.0, 1.0), (-0.5, -0.735357)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays(dtype: type[np.floating[Any]]) -> None:
    linear, encoded = (np.array(values, dtype) for values in zip(*PAIRS, strict=True))
    assert linear_to_srgb(linear).dtype == srgb_to_linear(encoded).dtype == dtype
    np.testing.assert_allclose(linear_to_srgb(linear), encoded, atol=1e-5)
    np.testing.assert_allclose(srgb_to_linear(encoded), linear, atol=1e-5)
    wide = np.linspace(-2, 3, 1001, dtype=dtype)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(wide)), wide, atol=1e-5)


def test_tensors_are_the_same_and_have_gradients() -> None:
    values = torch.linspace(-1, 2, 301, requires_grad=True)
    for curve in (linear_to_srgb, srgb_to_linear):
        made = curve(values)
        np.testing.assert_allclose(made.detach(), curve(values.detach().numpy()), atol=1e-6)
        (gradient,) = torch.autograd.grad(made.sum(), values)
        assert torch.isfinite(gradient).all()
