"""Pictures inside the page: what a protocol compared, and where the errors are."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from glihamba_training.data.iharmony4 import Triple
from glihamba_training.scoring.evaluate import COMPOSITE, PictureScores
from glihamba_training.scoring.protocols import PROTOCOLS, Method

LONGEST = 640  # pixels of a picture's longer side
FULL_ERROR = 64  # an error of so many levels of 255 is drawn in the brightest colour
_RAMP = np.array([[0, 0, 8], [86, 16, 110], [187, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)


@dataclass(frozen=True)
class Wanted:
    """A picture to show, with its texts, and the two methods whose results are compared."""

    picture: str
    heading: str
    caption: str
    before: str
    after: str


@dataclass(frozen=True)
class Case:
    """A slider between two pictures and stills beside it: names, data URIs. shape: "width / height"."""

    heading: str
    caption: str
    shape: str
    before: tuple[str, str]
    after: tuple[str, str]
    stills: tuple[tuple[str, str], ...]


def extremes(rows: Sequence[PictureScores], protocol: str, model: str) -> list[Wanted]:
    """The pictures with the greatest, the median and the least gain of `model` over the composite."""
    before = {r.picture: r for r in rows if r.protocol == protocol and r.model == COMPOSITE}
    after = [r for r in rows if r.protocol == protocol and r.model == model]
    ranked = sorted(after, key=lambda r: before[r.picture].scores.psnr - r.scores.psnr)
    places = {"Best": 0, "Median": (len(ranked) - 1) // 2, "Worst": len(ranked) - 1}
    chosen = {ranked[index].picture: (name, ranked[index]) for name, index in reversed(places.items())}
    wanted = []
    for name, row in reversed(chosen.values()):
        was, now = before[row.picture].scores, row.scores
        wanted.append(
            Wanted(
                row.picture,
                f"{name} of {len(ranked):,} by {model}: {now.psnr - was.psnr:+.2f} dB",
                f"{row.subset} {row.picture}, protocol {protocol}: PSNR {was.psnr:.2f} to {now.psnr:.2f} dB,"
                f" fMSE {was.fmse:,.0f} to {now.fmse:,.0f}; foreground {row.ratio:.1%} of the picture.",
                COMPOSITE,
                model,
            )
        )
    return wanted


def cases(
    wanted: Sequence[Wanted], triples: Iterable[Triple], methods: Mapping[str, Method], protocol: str
) -> list[Case]:
    """The wanted pictures as the protocol compared them, in the same order."""
    pixels: dict[tuple[str, str], tuple[str, str]] = {}
    shapes: dict[str, str] = {}
    scoring = PROTOCOLS[protocol]
    for triple in triples:
        planes = scoring.planes(triple)
        height, width = triple.composite.shape[:2]
        shapes[triple.name] = f"{width} / {height}"
        pixels[triple.name, "real"] = data_uri(_levels(planes.real)), ""
        for model in {m for w in wanted if w.picture == triple.name for m in (COMPOSITE, w.before, w.after)}:
            got = scoring.harmonized(triple, planes, methods[model])
            if scoring.background == "masked":
                got = planes.mask * got + (1 - planes.mask) * planes.real
            pixels[triple.name, model] = data_uri(_levels(got)), data_uri(error_picture(got, planes.real))
    found = []
    for each in wanted:
        name = each.picture
        stills = [("real", pixels[name, "real"][0])]
        if COMPOSITE not in (each.before, each.after):
            stills.insert(0, (COMPOSITE, pixels[name, COMPOSITE][0]))
        else:
            stills.append((each.after, pixels[name, each.after][0]))
        stills += [(f"error of {m}", pixels[name, m][1]) for m in (each.before, each.after)]
        before, after = ((m, pixels[name, m][0]) for m in (each.before, each.after))
        found.append(Case(each.heading, each.caption, shapes[name], before, after, tuple(stills)))
    return found


def error_picture(got: Tensor, real: Tensor) -> np.ndarray:
    """The channels' mean absolute difference, black (0) to bright (FULL_ERROR levels): (H,W,3) uint8."""
    error = ((got - real).abs().mean(1)[0] * 255 / FULL_ERROR).clamp(0, 1).numpy()
    stops = np.linspace(0, 1, len(_RAMP))
    return np.stack([np.interp(error, stops, channel) for channel in _RAMP.T], axis=-1).astype(np.uint8)


def ramp_css() -> str:
    """The colours of `error_picture` from 0 to FULL_ERROR, as the stops of a CSS gradient."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _RAMP)


def _levels(picture: Tensor) -> np.ndarray:
    return (picture[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()


def data_uri(pixels: np.ndarray) -> str:
    """(H,W,3) uint8 as a JPEG inside the page, its longer side at most LONGEST."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
