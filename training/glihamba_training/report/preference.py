"""Which method people prefer: a page to vote on pairs of pictures, and Bradley-Terry scores of its votes.

GKNet's Table 3 (Shen et al. 2023) ranks methods so, where there is no truth to compare with.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from glihamba.errors import BadRequest
from glihamba.networks.base import Harmonizer
from glihamba_proto.files import replacing
from glihamba_training.data.shown import Shown
from glihamba_training.report.figure import harmonized
from glihamba_training.report.pictures import data_uri
from glihamba_training.scoring.evaluate import COMPOSITE

_ROUNDS, _STILL = 10_000, 1e-10


class BadVotes(BadRequest, ValueError):
    """A file of votes that no scores can be computed from; `str(error)` says why."""


@dataclass(frozen=True)
class Standing:
    """score: Bradley and Terry's, the logarithm of a method's strength, the mean of all being 0.

    won: of `votes`, a tie counting half.
    """

    method: str
    score: float
    won: float
    votes: int


def write_page(
    pictures: Sequence[Shown],
    methods: Mapping[str, Harmonizer],
    path: Path,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write one page that shows each pair of methods on each picture, in random order and on random sides.

    The composite is a method, too. Names are not shown. Returns the number of pairs.
    """
    stored: dict[str, dict[str, str]] = {}
    for number, picture in enumerate(pictures):
        answers = {name: harmonized(picture, network) for name, network in methods.items()}
        stored[picture.name] = {
            name: data_uri(pixels) for name, pixels in {COMPOSITE: picture.composite, **answers}.items()
        }
        progress(number + 1, len(pictures))
    chance = random.Random(seed)
    pairs = [
        {"picture": picture, "left": one, "right": other}
        for picture in stored
        for one, other in (chance.sample(pair, 2) for pair in combinations([COMPOSITE, *methods], 2))
    ]
    chance.shuffle(pairs)
    environment = Environment(
        loader=PackageLoader("glihamba_training.report"), autoescape=True, undefined=StrictUndefined
    )
    data = json.dumps({"pictures": stored, "pairs": pairs}).replace("</", "<\\/")
    html = environment.get_template("preference.html.j2").render(data=data, count=len(pairs))
    with replacing(path) as part:
        part.write_text(html, "utf-8")
    return len(pairs)


def standings(files: Sequence[Path]) -> list[Standing]:
    """Scores of all votes in the files that the page lets a person save, the best first. Raises BadVotes."""
    wins: dict[tuple[str, str], float] = {}
    for file in files:
        for left, right, better in _votes(file):
            for one, other, share in ((left, right, better), (right, left, 1 - better)):
                wins[one, other] = wins.get((one, other), 0.0) + share
    methods = sorted({method for pair in wins for method in pair})
    if not methods:
        raise BadVotes("There are no votes in these files: vote on the page and save the votes.")
    place = {method: index for index, method in enumerate(methods)}
    matrix = np.zeros((len(methods), len(methods)))
    for (one, other), share in wins.items():
        matrix[place[one], place[other]] = share
    scores = bradley_terry(matrix)
    met = matrix + matrix.T
    found = [
        Standing(method, scores[i], float(matrix[i].sum()), round(float(met[i].sum())))
        for method, i in place.items()
    ]
    return sorted(found, key=lambda standing: -standing.score)


def bradley_terry(wins: np.ndarray) -> list[float]:
    """Maximum-likelihood scores, whose mean is 0 (Bradley and Terry 1952; Hunter 2004's iteration).

    wins: (N,N), how often the row won against the column. Raises BadVotes where some methods only ever won,
    or never met the others: their scores would be infinite or free.
    """
    count = len(wins)
    reach = (wins > 0) | np.eye(count, dtype=bool)
    for _ in range(count.bit_length() + 1):
        reach = (reach.astype(float) @ reach.astype(float)) > 0
    if not reach.all():
        raise BadVotes(
            "Too few votes for a ranking: each method must have won and lost against the others, if only"
            " through a third. Collect more votes."
        )
    met = wins + wins.T
    strength = np.ones(count)
    for _ in range(_ROUNDS):
        expected = (met / (strength[:, None] + strength[None, :])).sum(1)
        updated = wins.sum(1) / expected
        updated /= math.exp(np.log(updated).mean())
        still = np.abs(updated - strength).max() < _STILL
        strength = updated
        if still:
            break
    return [float(score) for score in np.log(strength)]


def _votes(file: Path) -> list[tuple[str, str, float]]:
    """Left, right, and the left one's share: 1, 0, or a half for a tie."""
    try:
        votes = json.loads(file.read_text("utf-8"))["votes"]
        shares = {"left": 1.0, "right": 0.0, "equal": 0.5}
        return [(vote["left"], vote["right"], shares[vote["better"]]) for vote in votes]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadVotes(f"{file} is not a file of votes that the page has saved: give another.") from error
