"""The recipe: results, refusals and their words, progress and cancelling."""

from __future__ import annotations

import re
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glihamba.errors import (
    BadRequest,
    Cancelled,
    EmptyMask,
    FullMask,
    HarmonizeError,
    NotFinite,
    OutOfMemory,
    SizeMismatch,
)
from glihamba.networks.base import Harmonizer
from glihamba.networks.colour_transform import ColourTransform
from glihamba.networks.statistics import Statistics, StatisticsConfig
from glihamba.pipeline import correction as transfer
from glihamba.pipeline.harmonize import harmonize
from glihamba_proto import messages

TYPES = [np.uint8, np.uint16, np.float32]


def dark_object(dtype=np.uint8, channels=3, size=(120, 160)):
    """A bright scene with a dark, bluish object; returns composite, mask."""
    random = np.random.default_rng(2)
    composite = 0.5 + 0.4 * random.random((*size, channels), np.float32)
    mask = np.zeros(size, np.float32)
    mask[40:80, 50:110] = 1
    composite[..., :3] *= 1 - np.array((0.65, 0.6, 0.55), np.float32) * mask[..., None]
    if np.dtype(dtype).kind == "u":
        top = np.iinfo(dtype).max
        return np.rint(composite * top).astype(dtype), np.rint(mask * top).astype(dtype)
    return composite, mask


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("curve", ["srgb", "linear"])
def test_a_dark_object_is_lit_and_the_scene_left_alone(dtype, channels, curve):
    composite, mask = dark_object(dtype, channels)
    before = composite.copy(), mask.copy()
    result = harmonize(composite, mask, Statistics(StatisticsConfig(1.0)), transfer=curve)
    assert (result.pixels.dtype, result.pixels.shape) == (composite.dtype, composite.shape)
    assert result.warnings == ()
    inside = mask > 0
    gain = result.pixels[inside][:, :3].mean() / composite[inside][:, :3].mean()
    assert gain > 1.5
    assert np.array_equal(result.pixels[~inside], composite[~inside])
    assert np.array_equal(result.pixels[..., 3:], composite[..., 3:])
    assert np.array_equal(composite, before[0])
    assert np.array_equal(mask, before[1])


def test_strength_scales_the_correction(fixed, bend):
    composite, mask = dark_object(np.float32)
    whole, half, none = (
        harmonize(composite, mask, fixed(bend), strength=s).pixels - composite for s in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
    assert not none.any()


def test_what_is_applied_is_the_networks_transform_over_the_window(fixed, bend):
    composite, mask = dark_object()
    from glihamba.pipeline.geometry import context_window

    window = context_window(mask, fixed.working_size)
    expected = transfer.apply(composite, mask, bend, window)
    assert np.array_equal(harmonize(composite, mask, fixed(bend)).pixels, expected)


def test_the_foreground_is_what_comes_back(fixed, bend):
    composite, mask = dark_object()
    layer = np.full((50, 70, 4), 90, np.uint16)
    result = harmonize(composite, mask, fixed(bend), foreground=layer, foreground_offset=(45, 35))
    assert (result.pixels.shape, result.pixels.dtype) == (layer.shape, layer.dtype)
    covered = mask[35:85, 45:115] > 0
    assert (result.pixels[covered][:, :3] != 90).any(1).all()
    assert np.array_equal(result.pixels[~covered], layer[~covered])
    assert np.array_equal(result.pixels[..., 3], layer[..., 3])


@pytest.mark.parametrize("shape", [(1, 20000), (20000, 1), (1, 2), (2, 1), (5, 3)])
def test_extreme_shapes(picture, shape):
    composite, mask = picture(*shape), np.zeros(shape, np.uint8)
    mask.flat[: max(1, mask.size // 3)] = 255
    result = harmonize(composite, mask, Statistics())
    assert result.pixels.shape == composite.shape
    assert np.array_equal(result.pixels[mask == 0], composite[mask == 0])


def test_one_pixel():
    pixel = np.full((1, 1, 3), 90, np.uint8)
    with pytest.raises(FullMask, match="covers the whole picture"):
        harmonize(pixel, np.full((1, 1), 255, np.uint8), Statistics())
    with pytest.raises(EmptyMask):
        harmonize(pixel, np.zeros((1, 1), np.uint8), Statistics())
    assert harmonize(pixel, np.full((1, 1), 100, np.uint8), Statistics()).pixels.shape == (1, 1, 3)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    channels=st.sampled_from([3, 4]),
    dtype=st.sampled_from(TYPES),
    mask_dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 1000),
)
@pytest.mark.slow
def test_any_picture_and_mask(height, width, channels, dtype, mask_dtype, seed):
    random = np.random.default_rng(seed)
    tops = [1 if t is np.float32 else np.iinfo(t).max for t in (dtype, mask_dtype)]
    composite = (random.random((height, width, channels)) * tops[0]).astype(dtype)
    cover = random.random((height, width)) * (random.random((height, width)) < random.random())
    mask = (cover * tops[1]).astype(mask_dtype)
    try:
        result = harmonize(composite, mask, Statistics())
    except (EmptyMask, FullMask):
        return
    assert np.isfinite(result.pixels.astype(np.float64)).all()
    assert np.array_equal(result.pixels[mask == 0], composite[mask == 0])
    assert np.array_equal(result.pixels[..., 3:], composite[..., 3:])


# --- refusals and their messages


def refused(error, words, *args, **options):
    with pytest.raises(error, match=f"^{re.escape(words)}$") as found:
        harmonize(*args, **options)
    assert type(found.value) is error


def test_another_size():
    composite, mask = dark_object()
    words = "The mask is 160 x 100 pixels and the composite is 160 x 120 pixels. Make them the same size."
    refused(SizeMismatch, words, composite, mask[:100], Statistics())


def test_empty_mask():
    composite, mask = dark_object()
    words = messages.catalogue("en")["EMPTY_MASK"]
    refused(EmptyMask, words, composite, mask * 0, Statistics())


def test_full_mask():
    composite, mask = dark_object()
    words = messages.catalogue("en")["FULL_MASK"]
    refused(FullMask, words, composite, np.full_like(mask, 255), Statistics())


NO_SCENE = messages.catalogue("en")["FULL_MASK.NO_SCENE"]


def test_a_mask_that_leaves_a_pixel():
    composite, mask = dark_object()
    mask[:] = 255
    mask[0, 0] = 0
    refused(FullMask, NO_SCENE, composite, mask, Statistics())


def test_a_scene_that_is_transparent():
    composite, mask = dark_object(channels=4)
    composite[..., 3] = mask
    refused(FullMask, NO_SCENE, composite, mask, Statistics())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("plane", ["composite", "mask", "foreground"])
def test_not_finite(value, plane):
    composite, mask = dark_object(np.float32)
    planes = {"composite": composite, "mask": mask, "foreground": composite.copy()}
    planes[plane].flat[17] = value
    words = (
        f"The {plane} holds values that are not numbers (NaN or infinity). Repair it first, for example by "
        "converting it to 16 bits."
    )
    refused(
        NotFinite, words, planes["composite"], planes["mask"], Statistics(), foreground=planes["foreground"]
    )


@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", ">u2"])
def test_sample_types(dtype):
    composite, mask = dark_object()
    words = f"The composite's sample type must be uint8, uint16 or float32, but is {np.dtype(dtype)}."
    refused(BadRequest, words, composite.astype(dtype), mask, Statistics())
    refused(BadRequest, words.replace("composite", "mask"), composite, mask.astype(dtype), Statistics())


def test_not_an_array():
    composite, mask = dark_object()
    words = "The composite's sample type must be uint8, uint16 or float32, but is list."
    refused(BadRequest, words, composite.tolist(), mask, Statistics())


def test_shapes():
    composite, mask = dark_object()
    words = "The composite has the shape 120 x 160 x 2. Send height x width x 3 or 4, not empty."
    refused(BadRequest, words, composite[..., :2], mask, Statistics())
    words = "The composite has the shape 0 x 160 x 3. Send height x width x 3 or 4, not empty."
    refused(BadRequest, words, composite[:0], mask[:0], Statistics())
    words = "The mask has the shape 120 x 160 x 3. Send height x width, not empty."
    refused(BadRequest, words, composite, composite, Statistics())
    words = "The foreground has the shape 120 x 160. Send height x width x 3 or 4, not empty."
    refused(BadRequest, words, composite, mask, Statistics(), foreground=mask)


def test_parameters():
    composite, mask = dark_object()
    words = "The strength must be from 0 (unchanged) to 1.5 (1 is the full correction), but is 1.6."
    refused(BadRequest, words, composite, mask, Statistics(), strength=1.6)
    words = "The strength must be from 0 (unchanged) to 1.5 (1 is the full correction), but is nan."
    refused(BadRequest, words, composite, mask, Statistics(), strength=float("nan"))
    words = "The composite's transfer function must be sRGB or linear, but is log."
    refused(BadRequest, words, composite, mask, Statistics(), transfer="log")
    words = "The foreground's offset must be two whole numbers, x and y."
    refused(
        BadRequest, words, composite, mask, Statistics(), foreground=composite, foreground_offset=(0.5, 1)
    )


class Painter(Harmonizer):
    working_size = 32

    def __init__(self, paint):
        super().__init__()
        self.paint = paint

    def forward(self, composite, mask):
        return self.paint(composite, mask)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_nonsense_changes_nothing(fixed, value):
    composite, mask = dark_object()
    words = "The model gave no usable colours for this picture, so nothing was changed. Choose another model."
    refused(HarmonizeError, words, composite, mask, Painter(lambda c, m: c * value))
    broken = ColourTransform.identity()
    broken.base[:] = value
    refused(HarmonizeError, words, composite, mask, fixed(broken))


@pytest.mark.parametrize(
    "demand",
    [lambda: torch.empty(1 << 60, dtype=torch.uint8), lambda: np.empty(1 << 60, np.uint8)],
    ids=["torch", "numpy"],
)
def test_out_of_memory_says_what_to_do(demand):
    """The test really asks for more memory than any machine has."""

    def paint(composite, mask):
        demand()

    composite, mask = dark_object()
    words = "There is not enough memory to run this model. Close other programs, or choose a smaller model."
    refused(OutOfMemory, words, composite, mask, Painter(paint))


# --- warnings


def test_a_large_object_is_warned_of():
    composite, mask = dark_object()
    mask[:] = 255
    mask[:, :11] = 0
    words = "The object fills 93 % of the picture: little scene is left to harmonize with."
    (said,) = harmonize(composite, mask, Statistics()).warnings
    assert messages.sentence(said, "en") == words


def test_a_tiny_object_is_warned_of():
    composite, mask = dark_object()
    mask[:] = 0
    mask[3:6, 3:6] = 255
    words = "The object is only a few pixels: its colours say little about how it should look."
    (said,) = harmonize(composite, mask, Statistics()).warnings
    assert messages.sentence(said, "en") == words


# --- progress and cancelling


def stages(told):
    return list(dict.fromkeys(stage for stage, _ in told))


def test_progress_names_every_stage_and_never_falls(monkeypatch, fixed, bend):
    monkeypatch.setattr(transfer, "_BAND_PIXELS", 100)
    composite, mask = dark_object()
    told: list[Any] = []
    harmonize(composite, mask, fixed(bend), progress=lambda *step: told.append(step))
    assert stages(told) == ["PREPARING", "PREDICTING", "APPLYING"]
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert len(told) > 10


def test_it_can_be_cancelled_at_every_step(monkeypatch, fixed, bend):
    monkeypatch.setattr(transfer, "_BAND_PIXELS", 600)
    composite, mask = dark_object()
    once = partial(harmonize, composite, mask, fixed(bend))
    steps = []
    once(progress=lambda *step: steps.append(step))
    reached = set()
    for last in range(len(steps)):
        told: list[Any] = []
        with pytest.raises(Cancelled, match=r"^Cancelled\. Nothing was changed\.$"):
            once(
                progress=lambda *step, told=told: told.append(step),
                cancelled=lambda: len(told) >= last,  # noqa: B023 - called before the next turn
            )
        assert told == steps[:last]
        reached.update(stages(told))
    assert reached == {"PREPARING", "PREDICTING", "APPLYING"}


# --- memory and devices


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [3, 4])
def test_no_full_size_temporary(fixed, bend, dtype, channels):
    """Besides the result, less memory is used than a quarter of the picture as float32."""
    composite, mask = dark_object(dtype, channels, size=(120, 160))
    composite, mask = np.tile(composite, (20, 20, 1)), np.kron(mask, np.ones((20, 20), mask.dtype))
    tracemalloc.start()
    try:
        result = harmonize(composite, mask, fixed(bend))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - result.pixels.nbytes < composite.size  # bytes: float32 takes four times that


@pytest.mark.gpu
def test_the_network_runs_where_its_weights_are():
    class Gain(Harmonizer):
        working_size = 64

        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(1.5))

        def forward(self, composite, mask):
            assert composite.device == mask.device == self.gain.device
            return composite + mask * (composite * self.gain - composite)

    composite, mask = dark_object()
    there = harmonize(composite, mask, Gain().cuda()).pixels.astype(int)
    assert np.abs(there - harmonize(composite, mask, Gain()).pixels).max() <= 1
