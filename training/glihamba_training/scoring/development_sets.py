"""The development composites, made again from `development.csv` and the photographs it names.

Their edges are clean (`synthesis/clean_edges.py`): at 256 pixels a seam of the true colours would tell the
answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from glihamba_training.data.iharmony4 import Triple
from glihamba_training.data.photos import Example, decode, examples, read_shards
from glihamba_training.scoring.development import HARMONY, Frozen, labelled
from glihamba_training.synthesis.batch import Batch
from glihamba_training.synthesis.clean_edges import with_clean_edges
from glihamba_training.synthesis.families import CEILING, find_illuminations
from glihamba_training.synthesis.illuminations import Illuminations
from glihamba_training.synthesis.pasted import paste_elsewhere
from glihamba_training.synthesis.recolouring import renditions
from glihamba_training.synthesis.settings import SynthesisSettings
from glihamba_training.synthesis.transfers import TRANSFERS, plausible

SIDE = 256
OFFICIAL = "triples/"  # in FEW: composites that are iHarmony4's own
FEW = "iharmony4_train_few"  # real pictures of iHarmony4's training list, beside the photographs
# Fixed, whatever training's recipe becomes: figures must stay comparable.
RETOUCHING = SynthesisSettings(
    scene=0.5,
    plain=0.5,
    darker=0.0,
    transfer=0.0,
    lut=0.3,
    unchanged=0.0,
    median_mse=1200.0,
    log_spread=1.6,
    amplify=2.5,
    smallest_crop=1.0,
)


@dataclass(frozen=True)
class Photograph:
    """pixels (S,S,3) uint8, squashed to the square; masks: (S,S) uint8 coverage, by their number."""

    pixels: np.ndarray
    masks: tuple[np.ndarray, ...]


def count_of(rows: Iterable[Frozen]) -> int:
    """How many triples `development_triples` gives for them."""
    return sum(1 + _comes_in_harmony(number, row) for number, row in enumerate(rows))


def development_triples(data: Path, rows: Iterable[Frozen]) -> Iterator[Triple]:
    """The composites of `rows`, 256 x 256, in their order; then what is in harmony, the real pictures of half
    of the retouched and similar ones. Each is named by its set, number and direction.

    Raises FileNotFoundError, with a sentence, where photographs are missing, BadRequest where the lights are.
    """
    rows = list(rows)
    yield from labelled(_triples(_Composer(data, rows), rows))


def _triples(composer: _Composer, rows: list[Frozen]) -> Iterator[Triple]:
    still = []
    for number, row in enumerate(rows):
        triple = composer.composed(row)
        yield triple
        if _comes_in_harmony(number, row):
            still.append(Triple(triple.name, HARMONY, triple.real, triple.mask, triple.real))
    yield from still


def _comes_in_harmony(number: int, row: Frozen) -> bool:
    return row.set in ("retouched", "similar") and number % 2 == 1


class _Composer:
    """Composites from photographs that are read once."""

    def __init__(self, data: Path, rows: list[Frozen]) -> None:
        self.data = data
        self.photographs = _read(data, rows)

    @cached_property
    def lights(self) -> Illuminations:
        return find_illuminations(self.data)

    def composed(self, row: Frozen) -> Triple:
        """The triple of a line."""
        if row.set == "real":
            return self._captured(row)
        g = torch.Generator().manual_seed(row.seed)
        photo, mask = self._planes(row.photo, row.mask)
        if row.set == "pasted":
            photo, mask = paste_elsewhere(photo, mask, g)
        if row.other:
            real, moved = photo, self._like_another(photo, mask, row, g)
        elif row.set == "lights":
            real, moved = photo, self.lights.relit(photo, g)
            moved = plausible(photo, moved, mask, torch.tensor([CEILING]))
        else:
            real, moved = renditions(photo, mask, torch.ones_like(mask), RETOUCHING, g)
        return _triple(row, Batch(mask * moved + (1 - mask) * real, mask, real))

    def _like_another(self, photo: Tensor, mask: Tensor, row: Frozen, g: torch.Generator) -> Tensor:
        other, cover = self._planes(row.other, row.other_mask)
        transfer = TRANSFERS[int(torch.randint(len(TRANSFERS), (1,), generator=g))]
        moved = transfer(photo, mask, other, cover).clamp(0, 1)
        return plausible(photo, moved, mask, torch.tensor([CEILING]))

    def _captured(self, row: Frozen) -> Triple:
        """An official composite, or an object at another time of day."""
        real = self.photographs[row.photo]
        mask = real.masks[0]
        other = self.photographs[row.other].pixels
        share, here, there = (_planes(each) for each in (mask, real.pixels, other))
        # An official composite was made at full size: its seam is as narrow as it is in life.
        made = Batch(share * there + (1 - share) * here, share, here)
        return _triple(row, made, clean=not row.other.startswith(OFFICIAL))

    def _planes(self, name: str, mask: int) -> tuple[Tensor, Tensor]:
        found = self.photographs[name]
        return _planes(found.pixels), _planes(found.masks[mask])


def _triple(row: Frozen, batch: Batch, *, clean: bool = True) -> Triple:
    """The one picture of a batch. clean: without a seam at the object's border."""
    composite, mask, real = (_pixels(planes) for planes in (with_clean_edges(batch) if clean else batch))
    return Triple(row.photo, row.set, composite, np.ascontiguousarray(mask[..., 0]), real)


def _planes(pixels: np.ndarray) -> Tensor:
    """(H,W) or (H,W,3) uint8 -> (1,C,H,W) in [0,1]."""
    planes = torch.from_numpy(pixels.copy()).float() / 255
    return planes[None, None] if pixels.ndim == 2 else planes.permute(2, 0, 1)[None]


def _pixels(planes: Tensor) -> np.ndarray:
    """(1,C,H,W) in [0,1] -> (H,W,C) uint8."""
    pixels: np.ndarray = (planes[0] * 255).round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels)


def _read(data: Path, rows: list[Frozen]) -> dict[str, Photograph]:
    """Every photograph that the rows name; raises FileNotFoundError for the first that is missing."""
    wanted = {name for row in rows for name in (row.photo, row.other) if name}
    found = {name: _few(data, name) for name in wanted if "/" in name}
    splits = ["train"] if any(row.set == "train" for row in rows) else []
    for example in _shards(data, ["val", *splits]):
        if example.name in wanted:
            decoded = decode(example, SIDE, find=False)
            if decoded.photo is not None:
                found[example.name] = Photograph(decoded.photo, tuple(m for m, _ in decoded.masks))
    if missing := sorted(wanted - found.keys()):
        raise FileNotFoundError(
            f"{data} lacks {len(missing):,} photographs of the development sets, {missing[0]} among them:"
            " they are made from the project's own photographs."
        )
    return found


def _shards(data: Path, splits: list[str]) -> Iterator[Example]:
    for split in splits:
        yield from examples(data, split)
    for name, photo, masks in read_shards(sorted(data.glob("heldout-*.tar"))):
        yield Example(name, photo, tuple(masks), "h" * len(masks))


def _few(data: Path, name: str) -> Photograph:
    """The picture FOLDER/PART/NAME of FEW with its masks, from the folder `mask` beside it."""
    folder, part, stem = name.split("/")
    root = next((r / FEW / folder for r in (data, data.parent) if (r / FEW / folder).is_dir()), None)
    path = root / part / f"{stem}.jpg" if root else None
    if root is None or path is None or not path.is_file():
        raise FileNotFoundError(f"{FEW}/{name}.jpg is neither in {data} nor beside it.")
    masks = sorted((root / "mask").glob(f"{stem}.png")) or sorted((root / "mask").glob(f"{stem}_*.png"))
    return Photograph(_resized(path, "RGB"), tuple(_resized(mask, "L") for mask in masks))


def _resized(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
