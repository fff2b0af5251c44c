"""Which real pictures a model has been trained on: their names and a perceptual hash of each.

The hash has 63 bits: which of a picture's lowest frequencies are above their median. It survives another
size, compression and a moderate change of colour. Pictures whose hashes differ in at most `ALIKE` bits count
as the same. Of 12,197 photographs, 20 pairs were that near, some of them the same scene; of 1,500 at 48
pixels a side, 98 % were that near to themselves, and of 1,500 as a JPEG of quality 60 all but one
(2026-11-30, once).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glihamba_training.data.iharmony4 import Triple
from glihamba_training.data.picture_cache import GrowingArray, cached_arrays

ALIKE = 6
_SIDE, _KEPT = 32, 8  # pixels of the picture that is hashed, and frequencies a side that count
_FLAT = 2.0  # levels of 255: the standard deviation below which there is nothing to recognise
_ODD = 2 * np.arange(_SIDE) + 1
_COSINES = np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(_KEPT), _ODD)).astype(np.float32)
_NAMED = 5  # at most so many names in a sentence


def perceptual_hash(pixels: np.ndarray) -> int:
    """The hash of a picture, (H,W,3) uint8; 0, which is like no other, for one that is nearly flat."""
    image = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    small = np.asarray(image, np.float32)
    if small.std() < _FLAT:
        return 0
    frequencies = (_COSINES @ small @ _COSINES.T).ravel()[1:]  # without the mean
    return int("".join("01"[int(bit)] for bit in frequencies > np.median(frequencies)), 2)


def hashes_of(pictures: np.ndarray, cache: Path | None = None) -> np.ndarray:
    """The hash of each of (N,H,W,3) uint8, as (N,) uint64. Those of a file on disk are kept beside it.

    cache: see `picture_cache.cached_arrays`.
    """
    file = getattr(pictures, "filename", None)

    def build(arrays: dict[str, GrowingArray]) -> None:
        for picture in pictures:
            arrays["hashes"].append(perceptual_hash(picture))

    if file is None:
        return np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
    kept = cached_arrays("hashes", f"{ALIKE}:{file}", {"hashes": ((), np.uint64)}, build, cache)
    return np.array(kept["hashes"])


@dataclass(frozen=True)
class Seen:
    """names: SUBSET/REAL of iHarmony4's real pictures. hashes: (N,) uint64 of any pictures."""

    names: frozenset[str] = frozenset()
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    def holds(self, name: str, pixels: np.ndarray) -> bool:
        """Whether a picture (H,W,3) uint8 is among these, by its name or its hash."""
        return name in self.names or self.near(perceptual_hash(pixels))

    def near(self, code: int) -> bool:
        """Whether one of the hashes is that of the same picture."""
        if not code:
            return False
        bits = np.unpackbits((self.hashes ^ np.uint64(code)).view(np.uint8).reshape(-1, 8), axis=1).sum(1)
        return bool((bits <= ALIKE).any())

    def to_record(self) -> dict[str, Any]:
        """As plain types, for a run's record."""
        packed = base64.b64encode(self.hashes.astype("<u8").tobytes()).decode()
        return {"names": sorted(self.names), "hashes": packed}

    @classmethod
    def of_records(cls, records: Iterable[Mapping[str, Any]]) -> Seen:
        """All pictures of the records."""
        records = list(records)
        codes = [np.frombuffer(base64.b64decode(record["hashes"]), "<u8") for record in records]
        names = frozenset(name for record in records for name in record["names"])
        return cls(names, np.concatenate(codes).astype(np.uint64) if codes else np.empty(0, np.uint64))


class Watch:
    """Notes which pictures that pass by each model was trained on."""

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        """seen: model -> what its record says."""
        self.seen = {model: each for model, each in seen.items() if each.names or len(each.hashes)}
        self.found: dict[str, list[str]] = {}
        self.passed = 0

    def watched(self, triples: Iterable[Triple]) -> Iterator[Triple]:
        """The same triples."""
        for triple in triples:
            self.passed += 1
            if self.seen:
                self._look(triple)
            yield triple

    def sentences(self) -> list[str]:
        """One for each model that has been trained on some of them."""
        return [
            f"{model} was trained on {len(names):,} of these {self.passed:,} pictures, so its figures"
            f" flatter: {some(names)}."
            for model, names in self.found.items()
        ]

    def _look(self, triple: Triple) -> None:
        name, code = real_name(triple.subset, triple.name), perceptual_hash(triple.real)
        for model, seen in self.seen.items():
            if name in seen.names or seen.near(code):
                self.found.setdefault(model, []).append(triple.name)


def real_name(subset: str, composite: str) -> str:
    """The name under which a composite's real picture is noted: c12_3_4 of HCOCO -> HCOCO/c12."""
    return f"{subset}/{composite.rsplit('_', 2)[0]}"


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
