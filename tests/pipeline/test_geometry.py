"""The window that the network gets, and its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from glihamba.pipeline.geometry import Box, at_working_size, bounding_box, context_window


def mask_with(height, width, box: Box, value=255, dtype=np.uint8):
    mask = np.zeros((height, width), dtype)
    mask[box.slices] = value
    return mask


def test_bounding_box():
    assert bounding_box(mask_with(20, 30, Box(3, 4, 7, 29))) == Box(3, 4, 7, 29)
    assert not bounding_box(np.zeros((4, 4), np.uint8))


def test_bands_cover_the_box_once():
    box = Box(3, 5, 20, 17)
    bands = list(box.bands(30))
    assert [band.height for band in bands] == [2] * 8 + [1]
    assert (bands[0].top, bands[-1].bottom) == (3, 20)
    assert all((band.left, band.right) == (5, 17) for band in bands)
    assert len(list(box.bands(1))) == 17


def test_a_large_object_sees_the_whole_picture():
    assert context_window(mask_with(3000, 4000, Box(1000, 1000, 2200, 2200)), 256) == Box(0, 0, 3000, 4000)


def test_a_small_object_is_seen_at_a_sensible_size_with_scene_on_every_side():
    assert context_window(mask_with(3000, 4000, Box(1400, 1900, 1600, 2100)), 256) == Box(
        1100, 1600, 1900, 2400
    )


def test_a_window_at_the_border_is_pushed_inside():
    assert context_window(mask_with(3000, 4000, Box(0, 3900, 100, 4000)), 256) == Box(0, 3600, 400, 4000)


def test_a_tiny_object_keeps_a_working_size_of_scene():
    window = context_window(mask_with(3000, 4000, Box(1500, 2000, 1502, 2001)), 256)
    assert (window.height, window.width) == (256, 256)


def test_faint_strokes_do_not_widen_the_window():
    mask = mask_with(3000, 4000, Box(1400, 1900, 1600, 2100))
    mask[10, 10] = 3
    assert context_window(mask, 256).height == 800
    assert context_window(mask_with(3000, 4000, Box(0, 0, 1600, 2100), value=3), 256).height == 3000


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(50, 30), (700, 900), (2000, 1500)])
def test_the_network_sees_what_pillow_would_show_it(dtype, size):
    """A blurred picture in any sample type: within two steps of 8 bits of Pillow's antialiased bilinear."""
    random = np.random.default_rng(5)
    coarse = Image.fromarray(random.integers(0, 255, (12, 12, 3), np.uint8))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    wanted = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), np.float32) / 255
    eight = np.asarray(image)
    pixels = {"u1": eight, "u2": eight.astype(np.uint16) * 257, "f4": eight.astype(np.float32) / 255}
    picture = pixels[np.dtype(dtype).str[1:]]
    height, width = picture.shape[:2]
    mask = mask_with(height, width, Box(0, 0, height // 2, width))
    rgb, covered, opacity = at_working_size(picture, mask, Box(0, 0, *mask.shape), 64)
    assert np.abs(rgb[0].permute(1, 2, 0).numpy() - wanted).max() < 2.5 / 255
    assert covered.shape == (1, 1, 64, 64)
    assert covered[..., :31, :].min() > 0.99
    assert covered[..., 33:, :].max() < 0.01
    assert opacity.min() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_transparent_pixels_colour_is_not_seen(dtype):
    top = 255 if dtype is np.uint8 else 1
    picture = np.zeros((400, 400, 4), dtype)
    picture[..., 1] = top  # hidden green
    picture[:200] = (top, 0, 0, top)
    rgb, _, opacity = at_working_size(picture, mask_with(400, 400, Box(0, 0, 9, 9)), Box(0, 0, 400, 400), 32)
    np.testing.assert_allclose(rgb[0, :, :, 3].T.numpy(), np.broadcast_to([1, 0, 0], (32, 3)), atol=1e-3)
    assert opacity[..., :15, :].min() > 0.99
    assert opacity[..., 17:, :].max() < 0.01


def test_an_opaque_alpha_makes_no_difference(picture):
    colours = picture(300, 200)
    colours[:, :100] = 0  # far from the mean, so that any of it would show
    opaque = np.dstack((colours, np.full((300, 200), 255, np.uint8)))
    mask = mask_with(300, 200, Box(5, 5, 50, 50))
    first, second = (at_working_size(p, mask, Box(0, 0, 300, 200), 32)[0] for p in (colours, opaque))
    np.testing.assert_allclose(first, second, rtol=0, atol=1.5e-7)


def test_linear_samples_are_averaged_as_light():
    stripes = np.zeros((512, 512, 3), np.float32)
    stripes[::2] = 1
    rgb, _, _ = at_working_size(stripes, np.zeros((512, 512), np.uint8), Box(0, 0, 512, 512), 32, linear=True)
    np.testing.assert_allclose(rgb.numpy(), 0.7354, atol=1e-3)  # half the light, on sRGB's curve


def test_highlights_are_clipped_before_they_are_averaged():
    picture = np.full((64, 64, 3), 0.2, np.float32)
    picture[0, 0] = 1e30
    rgb, _, _ = at_working_size(picture, np.zeros((64, 64), np.uint8), Box(0, 0, 64, 64), 8)
    assert rgb.max() < 0.35


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (3, 2), (513, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_shape(picture, shape: tuple[int, int], dtype):
    mask = mask_with(*shape, Box(0, 0, 1, 1), 1, dtype)
    window = context_window(mask, 32)
    assert window & Box(0, 0, *shape) == window
    for part in at_working_size(picture(*shape, 4, dtype), mask, window, 32):
        assert part.shape[-2:] == (32, 32)
        assert np.isfinite(part.numpy()).all()
