"""The window that a host sends holds all that decides the result."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glihamba.networks.statistics import Statistics, StatisticsConfig
from glihamba.pipeline.geometry import context_window
from glihamba.pipeline.harmonize import harmonize
from glihamba_client.window import Rect, extent, window
from glihamba_proto.windows import LARGEST_WORKING_SIZE


def box(left: int, top: int, right: int, bottom: int) -> tuple[slice, slice]:
    return slice(top, bottom), slice(left, right)


def slices(rect: Rect) -> tuple[slice, slice]:
    left, top, width, height = rect
    return box(left, top, left + width, top + height)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_it_holds_the_pipeline_s_window_and_leaves_it_as_it_is(data: st.DataObject) -> None:
    """Also where faint strokes make the host's box larger than the object's, at every side and size."""
    size = width, height = data.draw(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), "size")
    mask = np.zeros((height, width), np.uint8)
    for coverage in data.draw(st.lists(st.sampled_from([1, 100, 200, 255]), min_size=1, max_size=3)):
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        right = data.draw(st.integers(left + 1, min(width, left + 600)))
        bottom = data.draw(st.integers(top + 1, min(height, top + 600)))
        mask[box(left, top, right, bottom)] = coverage
    around = extent(mask.data.cast("B"), size)
    assert around is not None
    sent = window(around, size)
    cut = mask[slices(sent)]
    assert np.count_nonzero(cut) == np.count_nonzero(mask)
    for working_size in (48, 256, LARGEST_WORKING_SIZE):
        seen = context_window(cut, working_size).moved(sent[1], sent[0])
        assert seen == context_window(mask, working_size)


@pytest.mark.parametrize("place", [(1500, 1400), (0, 0), (2900, 2950), (3, 1500)], ids=str)
def test_the_result_is_the_same_bit_by_bit(place: tuple[int, int]) -> None:
    top, left = place
    size = 3000, 3000
    scene = np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8)
    scene[:, :1500] //= 2
    mask = np.zeros(size, np.uint8)
    mask[top : top + 80, left : left + 50] = 255
    mask[top : top + 40, left : left + 50] = 130
    around = extent(mask.data.cast("B"), size)
    assert around is not None
    part = slices(window(around, size))
    run = partial(harmonize, network=Statistics(StatisticsConfig(1.0)))
    whole, cut = run(scene, mask), run(scene[part], mask[part])
    assert cut.pixels.size < whole.pixels.size / 5
    np.testing.assert_array_equal(cut.pixels, whole.pixels[part])
    assert cut.warnings == whole.warnings


def test_extent_of_what_is_not_zero() -> None:
    mask = np.zeros((7, 9), np.uint8)
    assert extent(mask.tobytes(), (9, 7)) is None
    mask[2, 5] = mask[4, 3] = 1
    assert extent(mask.tobytes(), (9, 7)) == (3, 2, 3, 3)
    mask[:] = 255
    assert extent(mask.data.cast("B"), (9, 7)) == (0, 0, 9, 7)


def test_a_small_object_costs_the_same_in_every_picture() -> None:
    """Of an object of 300 pixels, 2.25 megapixels are sent, however many there are."""
    for size in ((9000, 7000), (90000, 70000)):
        _, _, width, height = window((4000, 3000, 300, 300), size)
        assert width == height == 1500
