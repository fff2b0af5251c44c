"""The fit of a linear filter to a correction, without a GIMP."""

from __future__ import annotations

import random
from collections.abc import Sequence

import assemble
import pytest
import words

Rows = Sequence[tuple[float, ...]]
fit = words.load(assemble.HERE / "gimp" / "glihamba_gimp" / "fit.py")
CHANCE = random.Random(4)
COLOURS = bytes(CHANCE.randrange(20, 220) for _ in range(3 * 800))


def filtered(colours: bytes, rows: Rows) -> bytes:
    """What a filter makes of the colours, by its definition."""
    done = bytearray()
    for at in range(0, len(colours), 3):
        light = [fit.LINEAR[level] for level in colours[at : at + 3]] + [1.0]
        for row in rows:
            done.append(round(255 * fit.encoded(sum(a * b for a, b in zip(row, light, strict=False)))))
    return bytes(done)


GAINS = [(0.7, 0.1, 0.0), (0.05, 0.8, 0.0), (0.0, 0.1, 1.1)]
WITH_OFFSETS = [(0.7, 0.1, 0.0, 0.05), (0.0, 0.8, 0.0, 0.02), (0.0, 0.1, 0.9, 0.08)]


@pytest.mark.parametrize("rows", [GAINS, WITH_OFFSETS], ids=["gains", "offsets"])
def test_a_filter_is_found_again(rows: Rows) -> None:
    found = fit.best(COLOURS, filtered(COLOURS, rows))
    assert found.levels < 0.5  # what rounding to 8 bits leaves
    assert len(found.rows[0]) == len(rows[0]), "offsets only where they help"
    for row, wanted in zip(found.rows, rows, strict=True):
        assert row == pytest.approx(wanted, abs=0.01)


def test_without_offsets_the_gains_come_as_near_as_they_can() -> None:
    """GIMP 3.2 has no filter with offsets."""
    after = filtered(COLOURS, WITH_OFFSETS)
    found = fit.best(COLOURS, after, offsets=False)
    assert len(found.rows[0]) == 3
    assert found.levels > fit.GOOD, "so the person is told"
    assert found.levels > fit.best(COLOURS, after).levels


def test_no_change_is_no_filter() -> None:
    found = fit.best(COLOURS, COLOURS)
    assert found.levels == pytest.approx(0, abs=1e-6)
    assert [list(row) for row in found.rows] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_one_colour_alone_leaves_the_rest_as_it_was() -> None:
    """Many filters are right for one colour; none with large numbers is taken."""
    found = fit.best(bytes((90, 120, 150)) * 50, bytes((70, 120, 170)) * 50)
    assert found.levels < 0.6
    assert max(abs(value) for row in found.rows for value in row) < 2


def test_it_is_right_where_it_is_dark() -> None:
    """Errors count as sRGB encodes them, so that shadows are as near as lights."""
    dark = bytes(level // 8 for level in COLOURS)
    found = fit.best(dark, filtered(dark, WITH_OFFSETS))
    assert found.levels < 0.6


@pytest.mark.parametrize("lift", [0, 12, 25])
def test_the_error_is_the_measured_one(lift: int) -> None:
    """A curve that no linear filter has leaves an error, and that is what is stated."""
    bent = bytes(max(0, min(255, level + lift * (level % 3 - 1))) for level in COLOURS)
    found = fit.best(COLOURS, bent)
    done = filtered(COLOURS, [*found.rows])
    rms = (sum((a - b) ** 2 for a, b in zip(done, bent, strict=True)) / len(bent)) ** 0.5
    assert found.levels == pytest.approx(rms, abs=0.15)
    assert (found.levels > fit.GOOD) == (lift > 0)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
def test_the_ends_of_the_scale(colour: tuple[int, int, int]) -> None:
    found = fit.best(bytes(colour) * 20, bytes(colour) * 20)
    assert found.levels == pytest.approx(0, abs=1e-6)


def test_many_colours_are_sampled() -> None:
    found = fit.best(COLOURS * 20, filtered(COLOURS, GAINS) * 20)
    assert found.levels < 0.5


def test_no_colours() -> None:
    assert fit.best(b"", b"").levels == 0
