"""The correction as three curves of a filter layer, which a person can go on editing.

A curve knows one channel, the correction all three and the place, so curves are a fit to it: for each channel
the quadratic with the least squared error over the object's pixels. Krita draws the curve through a few of
its points.
"""

from __future__ import annotations

import math
import uuid
import zipfile
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from glihamba_client.host import Pixels

if TYPE_CHECKING:
    from .pixels import Space

MOST_PIXELS = 6_000  # that a fit looks at
POINTS = 7  # of a curve between the darkest and the lightest value of the object
NEAR = 0.06  # two points of a curve so near each other would make it swing
FULL = {"U8": 255.0, "U16": 65535.0}
NAMES = {"U8": "RGBA", "U16": "RGBA16"}  # of the spaces in a .kra

Curve = tuple[tuple[float, float], ...]
"""Points (x, y) from 0 to 1, as Krita's filter "perchannel" has them."""

IDENTITY: Curve = ((0.0, 0.0), (1.0, 1.0))


class Curves(NamedTuple):
    """A curve for red, green and blue, and how far they are off."""

    red: Curve
    green: Curve
    blue: Curve
    error: float
    """The root mean square over the object's samples, in levels of 255."""


def can_be_fitted(space: Space) -> bool:
    """Whether Krita's curves work on pixels of this space as they are."""
    return space.model == "RGBA" and space.depth in FULL


def fit(before: Pixels, after: Pixels, cover: bytes, space: Space) -> Curves:
    """Curves that take the colours `before` to `after` where `cover` is not 0.

    before, after: pixels of one size in `space`, blue first, alpha last. cover: one byte a pixel.
    """
    old, new = samples(before, space), samples(after, space)
    places = [place for place, covered in enumerate(cover) if covered]
    places = places[:: len(places) // MOST_PIXELS + 1]
    full, curves, squares = FULL[space.depth], [], 0.0
    for channel in (2, 1, 0):
        xs = [old[4 * place + channel] / full for place in places]
        ys = [new[4 * place + channel] / full for place in places]
        curve, error = fitted(xs, ys)
        curves.append(curve)
        squares += error
    error = 255 * math.sqrt(squares / (3 * max(1, len(places))))
    return Curves(curves[0], curves[1], curves[2], error)


def samples(raw: Pixels, space: Space) -> memoryview[int]:
    plain = memoryview(raw).cast("B")
    return plain.cast("H") if space.depth == "U16" else plain


def fitted(xs: Sequence[float], ys: Sequence[float]) -> tuple[Curve, float]:
    """The curve for pairs of values from 0 to 1, and the sum of its squared errors."""
    if not xs:
        return IDENTITY, 0.0
    middle = sum(xs) / len(xs)
    # Of the change, not of the value: where a term is not determined, it is left out.
    rows = [(1.0, x - middle, (x - middle) ** 2) for x in xs]
    a, b, c = least_squares(rows, [y - x for x, y in zip(xs, ys, strict=True)])

    def wanted(x: float) -> float:
        return min(max(x + a + b * (x - middle) + c * (x - middle) ** 2, 0.0), 1.0)

    low, high = min(xs), max(xs)
    low, high = 0.0 if low < NEAR else low, 1.0 if high > 1 - NEAR else high
    is_wide = high - low > NEAR
    inner = [low + (high - low) * step / (POINTS - 1) for step in range(POINTS)] if is_wide else [middle]
    points = {round(x, 4): round(wanted(x), 4) for x in inner}
    # Beyond the object's own values the change goes out to half, as nobody knows more.
    points.setdefault(0.0, round(max(0.0, wanted(low) - low) / 2, 4))
    points.setdefault(1.0, round(min(1.0, 1 + (wanted(high) - high) / 2), 4))
    curve = tuple(sorted(points.items()))
    drawn = spline(curve)
    return curve, sum((drawn(x) - y) ** 2 for x, y in zip(xs, ys, strict=True))


def spline(curve: Curve) -> Callable[[float], float]:
    """The curve as Krita draws it: the natural cubic spline through its points, cut at 0 and 1."""
    xs, ys = zip(*curve, strict=True)
    last = len(xs) - 1
    widths = [xs[i + 1] - xs[i] for i in range(last)]
    slopes = [(ys[i + 1] - ys[i]) / widths[i] for i in range(last)]
    bends, shares = [0.0] * (last + 1), [0.0] * (last + 1)  # second derivatives; none at the ends
    for i in range(1, last):
        scale = 2 * (widths[i - 1] + widths[i]) - widths[i - 1] * shares[i - 1]
        shares[i] = widths[i] / scale
        bends[i] = (6 * (slopes[i] - slopes[i - 1]) - widths[i - 1] * bends[i - 1]) / scale
    for i in range(last - 1, 0, -1):
        bends[i] -= shares[i] * bends[i + 1]

    def value(x: float) -> float:
        i = min(max(bisect_right(xs, x) - 1, 0), last - 1)
        near, far = (x - xs[i]) / widths[i], (xs[i + 1] - x) / widths[i]
        bent = (far**3 - far) * bends[i] + (near**3 - near) * bends[i + 1]
        return min(max(far * ys[i] + near * ys[i + 1] + bent * widths[i] ** 2 / 6, 0.0), 1.0)

    return value


def least_squares(rows: Sequence[tuple[float, float, float]], wanted: Sequence[float]) -> list[float]:
    """The three factors with the least squared error, and as small as the data lets them be."""
    ridge = 1e-6 * len(rows)
    table = [
        [sum(row[i] * row[j] for row in rows) + (ridge if i == j else 0.0) for j in range(3)]
        + [sum(row[i] * y for row, y in zip(rows, wanted, strict=True))]
        for i in range(3)
    ]
    for i in range(3):  # the matrix is positive definite: no pivot is needed
        for j in range(i + 1, 3):
            share = table[j][i] / table[i][i]
            table[j] = [x - share * y for x, y in zip(table[j], table[i], strict=True)]
    found = [0.0, 0.0, 0.0]
    for i in (2, 1, 0):
        found[i] = (table[i][3] - sum(table[i][j] * found[j] for j in range(i + 1, 3))) / table[i][i]
    return found


def write(path: Path, curves: Curves, space: Space, is_everywhere: bool) -> None:
    """Write a document of Krita's with nothing but a filter layer of these curves.

    Filter.setConfiguration leaves the curves of a filter as they were (Krita 5.1), so a file brings them.
    is_everywhere: whether the filter is to work on every pixel, or on none until its mask is written.
    """
    all_channels = (IDENTITY, curves.red, curves.green, curves.blue, *[IDENTITY] * 4)
    texts = ("".join(f"{x},{y};" for x, y in curve) for curve in all_channels)
    params = "".join(f'<param name="curve{index}">{text}</param>' for index, text in enumerate(texts))
    name = NAMES[space.depth]
    document = _DOCUMENT.format(space=name, profile=escape(space.profile, {'"': "&quot;"}), id=uuid.uuid4())
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/x-krita")
        file.writestr("maindoc.xml", document)
        config = f'<params version="1"><param name="nTransfers">{len(all_channels)}</param>{params}</params>'
        file.writestr("curves/layers/layer1.filterconfig", f"<!DOCTYPE params>{config}")
        file.writestr("curves/layers/layer1.pixelselection", _NO_TILES)
        default = b"\xff" if is_everywhere else b"\0"
        file.writestr("curves/layers/layer1.pixelselection.defaultpixel", default)


_NO_TILES = "VERSION 2\nTILEWIDTH 64\nTILEHEIGHT 64\nPIXELSIZE 1\nDATA 0\n"
_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE DOC PUBLIC '-//KDE//DTD krita 2.0//EN' 'http://www.calligra.org/DTD/krita-2.0.dtd'>
<DOC xmlns="http://www.calligra.org/DTD/krita" editor="Krita" syntaxVersion="2.0" kritaVersion="5.1.5">
 <IMAGE name="curves" mime="application/x-kra" description="" width="1" height="1" x-res="72" y-res="72"
  colorspacename="{space}" profile="{profile}">
  <layers>
   <layer name="curves" filename="layer1" nodetype="adjustmentlayer" filtername="perchannel" filterversion="1"
    compositeop="copy" opacity="255" visible="1" locked="0" collapsed="0" channelflags="" colorlabel="0"
    x="0" y="0" uuid="{{{id}}}"/>
  </layers>
 </IMAGE>
</DOC>
"""
