"""Results that stay editable, in a real Krita with the real daemon; and the fit of curves without one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import assemble
import krita_app
import numpy as np
import pytest
import words

SCRIPT = krita_app.HERE / "cases" / "editable.py"
CURVES = Path(assemble.__file__).parent / "krita" / "glihamba_krita" / "curves.py"


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)


@pytest.fixture
def curves() -> Any:
    """The module without Krita."""
    return words.load(CURVES)


def test_a_quadratic_is_fitted_exactly(curves: Any) -> None:
    xs = list(np.linspace(0.2, 0.8, 50))
    curve, error = curves.fitted(xs, [0.1 + 0.6 * x + 0.3 * x * x for x in xs])
    assert error / 50 < (0.5 / 255) ** 2, "a spline is not quite a quadratic"
    inner = [(x, y) for x, y in curve if 0.2 <= x <= 0.8]
    assert len(inner) == curves.POINTS
    for x, y in inner:
        assert abs(0.1 + 0.6 * x + 0.3 * x * x - y) < 1e-3


def test_the_spline_is_the_natural_one(curves: Any) -> None:
    """Compare with the system of equations of its second derivatives, solved by numpy."""
    curve = ((0.0, 0.1), (0.25, 0.2), (0.3, 0.5), (0.8, 0.4), (1.0, 0.9))
    xs, ys = (np.array(values) for values in zip(*curve, strict=True))
    widths, slopes = np.diff(xs), np.diff(ys) / np.diff(xs)
    system, right = np.eye(5), np.zeros(5)
    for i in (1, 2, 3):
        system[i, i - 1 : i + 2] = widths[i - 1], 2 * (widths[i - 1] + widths[i]), widths[i]
        right[i] = 6 * (slopes[i] - slopes[i - 1])
    bends = np.linalg.solve(system, right)
    drawn = curves.spline(curve)
    for x in np.linspace(0, 1, 41):
        i = min(int(np.searchsorted(xs, x, "right")) - 1, 3)
        far, near = (xs[i + 1] - x) / widths[i], (x - xs[i]) / widths[i]
        bent = ((far**3 - far) * bends[i] + (near**3 - near) * bends[i + 1]) * widths[i] ** 2 / 6
        assert abs(min(max(far * ys[i] + near * ys[i + 1] + bent, 0), 1) - drawn(x)) < 1e-9


def test_one_colour_gives_a_curve_through_it(curves: Any) -> None:
    curve, error = curves.fitted([0.5] * 10, [0.6] * 10)
    assert (0.5, 0.6) in curve
    assert error < 1e-6
    assert [x for x, _ in curve] == [0.0, 0.5, 1.0]
    assert all(0 <= y <= 1 for _, y in curve)


def test_no_pixels_change_nothing(curves: Any) -> None:
    assert curves.fitted([], []) == (((0.0, 0.0), (1.0, 1.0)), 0.0)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.9, 1.0), (0.0, 0.05)])
def test_points_rise_and_stay_within_range(curves: Any, ends: tuple[float, float]) -> None:
    xs = list(np.linspace(*ends, 40))
    curve, _ = curves.fitted(xs, [min(1.0, 1.4 * x + 0.2) for x in xs])
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in curve)
    assert all(before[0] < after[0] for before, after in itertools.pairwise(curve))
