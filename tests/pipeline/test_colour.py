"""Sample types and transfer functions."""

from __future__ import annotations

import numpy as np
import pytest

from glihamba.pipeline.colour import (
    coverage,
    from_float,
    full_scale,
    to_float,
)
from glihamba.srgb import linear_to_srgb, srgb_to_linear


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_survives_the_way_to_float_and_back(dtype):
    every = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    floats = to_float(every)
    assert floats.dtype == np.float32
    assert (floats[0], floats[-1]) == (0, 1)
    assert np.array_equal(from_float(floats, every.dtype), every)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_survives_the_way_to_light_and_back(dtype):
    every = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    assert np.array_equal(from_float(linear_to_srgb(srgb_to_linear(to_float(every))), every.dtype), every)
    assert np.array_equal(from_float(srgb_to_linear(linear_to_srgb(to_float(every))), every.dtype), every)


def test_integers_are_rounded_and_clipped():
    floats = np.array([-1, 0.4 / 255, 0.6 / 255, 1, 7], np.float32)
    assert from_float(floats, np.dtype(np.uint8)).tolist() == [0, 0, 1, 255, 255]


def test_floats_are_kept():
    floats = np.array([-3, 0.25, 1e30], np.float32)
    assert np.array_equal(from_float(to_float(floats), floats.dtype), floats)
    assert full_scale(floats.dtype) == 1
    assert coverage(floats).tolist() == [0, 0.25, 1]


def test_the_curve_is_srgbs():
    # IEC 61966-2-1: mid grey, the end of the straight part, white; odd around zero and beyond one
    linear = np.array([0.0031308, 0.21404114, 1, -0.21404114, 4], np.float32)
    encoded = [0.04045, 0.5, 1, -0.5, 1.055 * 4 ** (1 / 2.4) - 0.055]
    np.testing.assert_allclose(linear_to_srgb(linear), encoded, atol=1e-5)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(linear)), linear, rtol=1e-5)
