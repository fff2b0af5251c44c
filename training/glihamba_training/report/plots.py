"""Distributions as inline SVG; the page's style sheet colours them, so that they follow its dark mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

WIDTH, ROW, LEFT, RIGHT, BOTTOM = 480, 58, 14, 14, 40
MOST_DOTS = 400  # for a method; of more pictures a sample is drawn, and the caption says so
_COLOURS = 6  # in the style sheet


def distributions(
    series: Mapping[str, Sequence[float]], axis: str, *, zero: bool = False, first_colour: int = 0
) -> str:
    """One row for each method: a dot for each picture, a box from quartile to quartile, the median.

    axis: the quantity and its unit. zero: mark 0, where nothing changed. first_colour: the first method's, so
    that each method keeps its colour from plot to plot; 0 is gray, for the composite.
    """
    values = {name: np.asarray(each, float) for name, each in series.items()}
    everything = np.concatenate([*values.values(), *([[0.0]] if zero else [])])
    ticks = _ticks(float(everything.min()), float(everything.max()))
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

    height = ROW * len(values) + BOTTOM
    bottom = height - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(axis)}">']
    for tick in ticks:
        mark = "axis" if zero and tick == 0 else "grid"
        parts.append(f'<line class="{mark}" x1="{x(tick)}" x2="{x(tick)}" y1="4" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick)}" y="{bottom + 16}">{tick:g}</text>')
    parts.append(f'<text class="tick" x="{WIDTH / 2}" y="{height - 4}">{escape(axis)}</text>')
    for row, (name, each) in enumerate(values.items()):
        parts += _row(name, each, row, colour_of(first_colour + row), x)
    return "\n".join([*parts, "</svg>"])


def colour_of(method: int) -> str:
    """The style sheet's class of a method's colour."""
    return f"m{method % _COLOURS}"


def sampled(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """At most MOST_DOTS of the values, the same ones every time."""
    each = np.asarray(values, float)
    if len(each) <= MOST_DOTS:
        return each
    return np.random.default_rng(0).choice(each, MOST_DOTS, replace=False)


def _row(name: str, values: np.ndarray, row: int, colour: str, x: Callable[[float], float]) -> list[str]:
    top = ROW * row
    middle = top + 36
    first, median, third = np.percentile(values, [25, 50, 75])
    scatter = np.random.default_rng(row).uniform(-11, 11, MOST_DOTS)
    dots = "".join(
        f'<circle cx="{x(value)}" cy="{middle + offset:.1f}" r="2.5"/>'
        for value, offset in zip(sampled(values), scatter, strict=False)
    )
    box = f'<rect x="{x(first)}" y="{middle - 13}" width="{max(x(third) - x(first), 1):.1f}" height="26"/>'
    small = f"median {median:,.2f}, middle half {first:,.2f} to {third:,.2f}"
    label = f'{escape(name)} <tspan class="small"> {small}</tspan>'
    return [
        f'<g class="{colour}">',
        f'<text class="name" x="{LEFT}" y="{top + 16}">{label}</text>',
        box,
        dots,
        f'<line class="median" x1="{x(median)}" x2="{x(median)}" y1="{middle - 15}" y2="{middle + 15}"/>',
        "</g>",
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Five to ten round numbers that enclose both."""
    spread = max(high - low, 1e-6)
    step = 10.0 ** np.floor(np.log10(spread / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if spread / (step * factor) <= 8)
    first, last = np.floor(low / step), np.ceil(high / step)
    return [round(float(index * step), 10) for index in np.arange(first, max(last, first + 1) + 1)]
