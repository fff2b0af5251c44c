"""The development sets: what weights are chosen on, each by itself, and one number.

`development.csv` freezes every composite: a photograph and mask, the seed of its recolouring, and whose
colours or time of day it takes. So figures stay comparable whatever training's recipe becomes. The nine
sample triples and the benchmark's test pictures are not among them.

| set       | composites                                                                              |
|-----------|-----------------------------------------------------------------------------------------|
| retouched | val photographs retouched at home, as many objects too dark as too bright, off and fine |
| similar   | val photographs, the object in a similar object's colours: HCOCO's and HFlickr's way    |
| lights    | val photographs, object and scene under two measured lights                             |
| pasted    | val photographs, the object set elsewhere, retouched or in a similar one's colours      |
| real      | official triples and day/night pairs of iHarmony4's training list                       |
| flickr    | HFlickr's training list with its masks, objects in similar ones' colours                |
| harmony   | the real pictures of retouched and similar: what must stay                              |
| train     | as similar, of training photographs: what is missing on val was learned by heart        |
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

import numpy as np

from glihamba_training.data.iharmony4 import Triple
from glihamba_training.scoring.evaluate import COMPOSITE, WORSE, PictureScores, evaluate
from glihamba_training.scoring.protocols import Method

SETS = ("retouched", "similar", "lights", "pasted", "real", "flickr")
HARMONY, GAP = "harmony", ("similar", "train")
DIRECTIONS = ("too dark", "too bright", "off in hue", "fine")
PROTOCOL = "strict"
ALL, STRENGTHS = "by fMSE", (0.0, 300.0, 1000.0, 2500.0, 5000.0)  # how wrong a composite is, 0..255 scale
SEEN_FROM = 45.0  # dB: in harmony, what is nearer to the truth than that counts as unchanged
DRAWS = 2_000  # of the bootstrap

_LUMA = np.array((0.299, 0.587, 0.114))
_LIGHT, _FINE = 12.0, 150.0  # mean levels of light, and foreground MSE, from which a composite is off


@dataclass(frozen=True)
class Frozen:
    """A line of `development.csv`. set: a name of the table above. photo, mask: the photograph and the number
    of its mask. seed: of the recolouring. other, other_mask: whose colours it takes, "" for none.
    """

    set: str
    photo: str
    mask: int
    seed: int
    other: str
    other_mask: int


def frozen() -> list[Frozen]:
    """The lines of `development.csv`."""
    text = (resources.files("glihamba_training.scoring") / "development.csv").read_text("utf-8")
    return [
        Frozen(r["set"], r["photo"], int(r["mask"]), int(r["seed"]), r["other"], int(r["other_mask"]))
        for r in csv.DictReader(text.splitlines())
    ]


@dataclass(frozen=True)
class Figure:
    """Of one model on one set, on one direction of it, or on the composites ALL of one of STRENGTHS.

    gain: mean PSNR over the composite's in dB (harmony: what is missing to SEEN_FROM, at most 0), with the
    bounds of a 95 % bootstrap interval over pictures. left: mean foreground MSE, the composite's being 1.
    worsened: share of pictures that lost more than WORSE dB. psnr: mean, of what is in harmony at most 60.
    """

    model: str
    set: str
    direction: str
    pictures: int
    gain: float
    low: float
    high: float
    left: float
    worsened: float
    psnr: float


@dataclass(frozen=True)
class Verdict:
    """The one number of a model: the mean gain over SETS and HARMONY, its interval, and the gap in dB."""

    model: str
    number: float
    low: float
    high: float
    gap: float


def score(
    triples: Iterable[Triple], models: Mapping[str, Method], progress: Callable[[], None] = lambda: None
) -> list[PictureScores]:
    """Every model on every development triple, the composite first."""
    return evaluate(triples, {COMPOSITE: None, **models}, [PROTOCOL], progress)


def direction(triple: Triple) -> str:
    """What is wrong with a composite: one of DIRECTIONS."""
    weight = triple.mask / max(float(triple.mask.sum()), 1.0)
    change = triple.composite.astype(float) - triple.real
    if float((np.square(change).mean(-1) * weight).sum()) < _FINE:
        return "fine"
    light = float(((change @ _LUMA) * weight).sum())
    return "too dark" if light < -_LIGHT else "too bright" if light > _LIGHT else "off in hue"


def figures(rows: list[PictureScores]) -> list[Figure]:
    """Each model on each set, then by direction where the set has several; last, SETS by how wrong they are.

    The number of a model is a mean over mild and strong composites. Weights can gain by leaving strong ones
    alone, and the benchmark's are strong.
    """
    untouched = {row.picture: row for row in rows if row.model == COMPOSITE}
    found = []
    for model in dict.fromkeys(row.model for row in rows if row.model != COMPOSITE):
        of_model = [row for row in rows if row.model == model]
        for name in dict.fromkeys(row.subset for row in of_model):
            of_set = [row for row in of_model if row.subset == name]
            found.append(_figure(model, name, "", of_set, untouched))
            for way in DIRECTIONS if name != HARMONY else ():
                if off := [row for row in of_set if _way(row) == way]:
                    found.append(_figure(model, name, way, off, untouched))
        found += _by_strength(model, [row for row in of_model if row.subset in SETS], untouched)
    return found


def _by_strength(
    model: str, rows: list[PictureScores], untouched: Mapping[str, PictureScores]
) -> Iterator[Figure]:
    for low, high in pairwise((*STRENGTHS, math.inf)):
        if some := [row for row in rows if low <= untouched[row.picture].scores.fmse < high]:
            words = f"{low:,.0f} to {high:,.0f}" if high < math.inf else f"{low:,.0f} or more"
            yield _figure(model, ALL, words, some, untouched)


def verdicts(rows: list[PictureScores]) -> list[Verdict]:
    """The one number of each model whose sets are all there."""
    untouched = {row.picture: row for row in rows if row.model == COMPOSITE}
    found = []
    for model in dict.fromkeys(row.model for row in rows if row.model != COMPOSITE):
        of_model = [row for row in rows if row.model == model]
        gains = {
            name: _gains([row for row in of_model if row.subset == name], untouched)
            for name in dict.fromkeys(row.subset for row in of_model)
        }
        if not {*SETS, HARMONY} <= gains.keys():
            continue
        means = np.stack([_resampled(gains[name]) for name in (*SETS, HARMONY)]).mean(0)
        number = float(np.mean([gains[name].mean() for name in (*SETS, HARMONY)]))
        gap = float(gains[GAP[1]].mean() - gains[GAP[0]].mean()) if GAP[1] in gains else float("nan")
        found.append(Verdict(model, number, *_bounds(means), gap))
    return found


def labelled(triples: Iterable[Triple]) -> Iterator[Triple]:
    """The triples, named by set, number and direction, so that rows can be told apart by them."""
    counts: dict[str, int] = {}
    for triple in triples:
        number = counts[triple.subset] = counts.get(triple.subset, 0) + 1
        name = f"{triple.subset}/{number:03}/{direction(triple)}"
        yield Triple(name, triple.subset, triple.composite, triple.mask, triple.real)


def _way(row: PictureScores) -> str:
    return row.picture.rpartition("/")[2]


def _gains(rows: list[PictureScores], untouched: Mapping[str, PictureScores]) -> np.ndarray:
    """What each picture gained, in dB; in harmony, what it lost of SEEN_FROM."""
    return np.array(
        [
            min(row.scores.psnr - SEEN_FROM, 0.0)
            if row.subset == HARMONY
            else row.scores.psnr - untouched[row.picture].scores.psnr
            for row in rows
        ]
    )


def _figure(
    model: str, name: str, way: str, rows: list[PictureScores], untouched: Mapping[str, PictureScores]
) -> Figure:
    gains = _gains(rows, untouched)
    before = np.mean([untouched[row.picture].scores.fmse for row in rows])
    after = np.mean([row.scores.fmse for row in rows])
    return Figure(
        model,
        name,
        way,
        len(rows),
        float(gains.mean()),
        *_bounds(_resampled(gains)),
        left=float(after / before) if before else float("nan"),
        worsened=float((gains < -WORSE).mean()) if name != HARMONY else float("nan"),
        psnr=float(np.mean([min(row.scores.psnr, 60.0) for row in rows])),
    )


def _resampled(values: np.ndarray) -> np.ndarray:
    """Means of DRAWS resamples."""
    chosen = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    means: np.ndarray = values[chosen].mean(1)
    return means


def _bounds(means: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
