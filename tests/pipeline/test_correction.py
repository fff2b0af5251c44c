"""The correction at full size: exact outside the mask, and the same for every way to divide the work."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glihamba.errors import Cancelled
from glihamba.networks.colour_transform import ColourTransform
from glihamba.pipeline import correction
from glihamba.pipeline import correction_kernel as kernel
from glihamba.pipeline.colour import coverage, full_scale, to_float
from glihamba.pipeline.geometry import Box
from glihamba.srgb import linear_to_srgb, srgb_to_linear

TYPES = [np.uint8, np.uint16, np.float32]


def whole(pixels):
    return Box(0, 0, *pixels.shape[:2])


def by_torch(pixels, weight, transform):
    """Eq. 7 in float64: what the result must be before rounding, in sample units. Integers hold no colour
    beyond black and white, so none is mixed in."""
    full = full_scale(pixels.dtype)
    colours = torch.from_numpy(pixels[..., :3].astype(np.float64) / full).permute(2, 0, 1)[None]
    clipped = colours.clamp(0, 1)
    exact = ColourTransform(transform.base.double(), transform.grid.double())
    corrected = exact.apply(clipped)
    if pixels.dtype.kind == "u":
        corrected = corrected.clamp(0, 1)
    correction = corrected - clipped
    out = colours + torch.from_numpy(weight.astype(np.float64)) * correction
    return out[0].permute(1, 2, 0).numpy() * full


def assert_close(found, expected):
    if found.dtype.kind == "u":
        rounded = np.clip(np.rint(expected), 0, full_scale(found.dtype))
        assert np.abs(found.astype(np.float64) - rounded).max() <= 1
    else:
        np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("mask_dtype", TYPES)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_equation_7(picture, soft_mask, bend, dtype, mask_dtype, strength):
    pixels, mask = picture(41, 67, 3, dtype), soft_mask(41, 67, mask_dtype)
    out = correction.apply(pixels, mask, bend, whole(pixels), strength=strength)
    assert out.dtype == dtype
    assert_close(out, by_torch(pixels, strength * coverage(mask), bend))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("linear", [False, True])
def test_outside_the_mask_and_alpha_not_one_bit_changes(picture, soft_mask, bend, dtype, linear):
    pixels, mask = picture(50, 70, 4, dtype), soft_mask(50, 70)
    if np.dtype(dtype).kind == "f":
        pixels = pixels * 8 - 4
        pixels[0, :5] = -0.0  # a sum with zero would lose its sign
    before = pixels.copy()
    out = correction.apply(pixels, mask, bend, whole(pixels), linear=linear)
    assert (out[mask == 0].tobytes(), out[..., 3].tobytes()) == (
        before[mask == 0].tobytes(),
        before[..., 3].tobytes(),
    )
    assert (out[mask == 255][:, :3] != before[mask == 255][:, :3]).mean() > 0.5
    assert pixels.tobytes() == before.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("linear", [False, True])
def test_the_identity_changes_nothing(picture, dtype, linear):
    pixels = picture(64, 64, 3, dtype)
    if np.dtype(dtype).kind == "f":
        pixels = pixels * 20 - 10
    mask = picture(64, 64, 0, np.uint8)
    out = correction.apply(pixels, mask, ColourTransform.identity(1), whole(pixels), linear=linear)
    assert out.tobytes() == pixels.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_the_compiled_kernel_and_its_readable_twin_agree(monkeypatch, picture, soft_mask, dtype, columns):
    generator = torch.Generator().manual_seed(columns)
    transform = ColourTransform(
        ColourTransform.identity().base + 0.1 * torch.randn(1, 3, 10, generator=generator),
        0.1 * torch.randn(1, 3, 4, 3, columns, generator=generator),
    )
    pixels, mask = picture(37, 53, 3, dtype), soft_mask(37, 53)
    fast = correction.apply(pixels, mask, transform, whole(pixels))
    assert kernel.fastest() is not kernel.correct_slowly
    monkeypatch.setattr(correction, "fastest", lambda: kernel.correct_slowly)
    slow = correction.apply(pixels, mask, transform, whole(pixels))
    assert np.abs(fast.astype(np.float64) - slow).max() <= (1 if fast.dtype.kind == "u" else 1e-6)
    assert_close(slow, by_torch(pixels, coverage(mask), transform))


def test_without_numba_numpy_does_the_work(monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    assert kernel.fastest.__wrapped__() is kernel.correct_slowly
    assert "more slowly" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="limits on a file's size are a Unix thing")
@pytest.mark.slow
@pytest.mark.slow
def test_a_full_disk_costs_the_kept_code_and_not_the_picture(tmp_path):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from glihamba.pipeline import correction_kernel as kernel\n"
        "print(kernel.fastest() is not kernel.correct_slowly)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize(("tile", "band", "threads"), [(1, 1, 1), (100, 1000, 3), (1 << 30, 1 << 30, 1)])
def test_tiles_bands_and_threads_do_not_show(monkeypatch, picture, soft_mask, bend, tile, band, threads):
    pixels, mask = picture(60, 90, 3, np.uint16), soft_mask(60, 90)
    expected = correction.apply(pixels, mask, bend, whole(pixels))
    monkeypatch.setattr(correction, "_TILE_PIXELS", tile)
    monkeypatch.setattr(correction, "_BAND_PIXELS", band)
    monkeypatch.setattr(correction, "_THREADS", threads)
    assert np.array_equal(correction.apply(pixels, mask, bend, whole(pixels)), expected)


def test_the_grid_lies_over_the_window_and_is_constant_beyond_it(picture, bend):
    pixels = picture(40, 60, 3, np.float32)
    mask = np.ones((40, 60), np.float32)
    window = Box(10, 20, 30, 50)
    out = correction.apply(pixels, mask, bend, window)
    inner = pixels[window.slices]
    np.testing.assert_allclose(out[window.slices], by_torch(inner, np.ones((20, 30)), bend), atol=3e-6)
    flat = np.full_like(pixels, 0.5)
    beyond = correction.apply(flat, mask, bend, window)
    np.testing.assert_array_equal(beyond[:10, 25], np.broadcast_to(beyond[10, 25], (10, 3)))


def test_highlights_keep_their_distance(bend):
    """Above 1 the correction is that of the clipped colour, so that the polynomial stays bounded."""
    pixels = np.array([[[1, 1, 1], [5, 1, 1], [1e30, 1, -3]]], np.float32)
    mask = np.ones((1, 3), np.float32)
    flat = ColourTransform(bend.base, torch.zeros(1, 3, 4, 1, 1))
    out = correction.apply(pixels, mask, flat, whole(pixels))
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[0, 1] - pixels[0, 1], out[0, 0] - pixels[0, 0], atol=1e-5)
    assert out[0, 2, 0] == np.float32(1e30)


@pytest.mark.parametrize("dtype", TYPES)
def test_linear_samples_are_corrected_on_the_srgb_curve(picture, bend, dtype):
    pixels, mask = picture(30, 30, 3, dtype), np.full((30, 30), 255, np.uint8)
    out = correction.apply(pixels, mask, bend, whole(pixels), linear=True)
    encoded = linear_to_srgb(to_float(pixels))
    corrected = by_torch(encoded, np.ones((30, 30)), bend).astype(np.float32)
    assert_close(out, srgb_to_linear(corrected).astype(np.float64) * full_scale(pixels.dtype))


@pytest.mark.parametrize("offset", [(0, 0), (7, 3), (-9, -4), (45, 30), (-9, 30)])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_layer_gets_the_whole_correction_wherever_it_is_covered(picture, soft_mask, bend, offset, dtype):
    mask = soft_mask(40, 60)
    layer = picture(25, 35, 4, dtype)
    x, y = offset
    out = correction.apply(layer, mask, bend, Box(0, 0, 40, 60), offset=offset)
    places = np.mgrid[y : y + 25, x : x + 35]
    nearest = np.clip(places[0], 0, 39), np.clip(places[1], 0, 59)
    beyond = (places[0] != nearest[0]) | (places[1] != nearest[1])  # of the picture: corrected as at its edge
    covered = (mask[nearest] > 0) | beyond
    assert covered.any()
    expected = np.zeros((25, 35, 3))
    everywhere = np.zeros((40, 60, 4), dtype)
    inside = ~beyond
    everywhere[nearest[0][inside], nearest[1][inside]] = layer[inside]
    expected[inside] = by_torch(everywhere, mask > 0, bend)[nearest[0][inside], nearest[1][inside]]
    for row, column in np.argwhere(beyond)[::97]:
        at = nearest[0][row, column], nearest[1][row, column]
        alike = np.broadcast_to(layer[row, column], (40, 60, 4))
        assert_close(out[row, column, :3], by_torch(alike, np.ones((40, 60)), bend)[at])
    assert_close(out[..., :3][covered & inside], expected[covered & inside])
    assert np.array_equal(out[~covered], layer[~covered])
    assert np.array_equal(out[..., 3], layer[..., 3])


def test_a_layer_that_misses_the_object_comes_back_as_it_was(picture, bend):
    mask = np.zeros((40, 60), np.uint8)
    mask[20:30, 30:50] = 255
    layer = picture(10, 10, 4)
    for offset in ((0, 0), (50, 5), (30, 30)):
        out = correction.apply(layer, mask, bend, Box(0, 0, 40, 60), offset=offset)
        assert np.array_equal(out, layer)
        assert out is not layer


def test_views_of_any_layout_and_read_only(picture, soft_mask, bend):
    pixels, mask = picture(40, 60, 4), soft_mask(40, 60)
    expected = correction.apply(pixels[..., [2, 1, 0, 3]].copy(), mask, bend, Box(0, 0, 40, 60))
    pixels.setflags(write=False)
    mask.setflags(write=False)
    out = correction.apply(pixels[..., [2, 1, 0, 3]], mask, bend, Box(0, 0, 40, 60))
    assert np.array_equal(out, expected)
    upside_down = correction.apply(pixels[::-1, :, :3], mask[::-1], bend, Box(0, 0, 40, 60))
    assert np.array_equal(
        upside_down, correction.apply(pixels[::-1, :, :3].copy(), mask[::-1].copy(), bend, Box(0, 0, 40, 60))
    )


def test_cancelled_between_bands(monkeypatch, picture, soft_mask, bend):
    monkeypatch.setattr(correction, "_BAND_PIXELS", 100)
    asked: list[None] = []

    def cancelled():
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(Cancelled, match="nothing was changed"):
        correction.apply(picture(60, 60), soft_mask(60, 60), bend, Box(0, 0, 60, 60), cancelled=cancelled)
    assert len(asked) == 3


def test_advance_rises_to_one(monkeypatch, picture, soft_mask, bend):
    monkeypatch.setattr(correction, "_BAND_PIXELS", 100)
    told: list[float] = []
    correction.apply(picture(60, 60), soft_mask(60, 60), bend, Box(0, 0, 60, 60), advance=told.append)
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1] == 1


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([3, 4]),
    dtype=st.sampled_from(TYPES),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    strength=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_any_shape(height, width, channels, dtype, grid, strength, seed):
    random = np.random.default_rng(seed)
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (random.random((height, width, channels)) * top).astype(dtype)
    mask = (random.random((height, width)) * 255 * (random.random((height, width)) > 0.5)).astype(np.uint8)
    transform = ColourTransform(
        ColourTransform.identity().base + 0.1 * torch.from_numpy(random.normal(size=(1, 3, 10))).float(),
        0.1 * torch.from_numpy(random.normal(size=(1, 3, 4, *grid))).float(),
    )
    out = correction.apply(pixels, mask, transform, whole(pixels), strength=strength)
    assert_close(out[..., :3], by_torch(pixels, strength * coverage(mask), transform))
    assert np.array_equal(out[mask == 0], pixels[mask == 0])
    assert np.array_equal(out[..., 3:], pixels[..., 3:])
