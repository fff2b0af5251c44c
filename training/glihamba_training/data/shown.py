"""Pictures to look at: with or without a truth, of iHarmony4, of photographs, or of real composites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glihamba.errors import BadRequest
from glihamba_training.data import iharmony4
from glihamba_training.data.fingerprints import some
from glihamba_training.data.pictures import SUFFIXES, read_mask, read_photo
from glihamba_training.scoring.evaluate import chosen_triples, triples_of

FOLDERS = (("composite", "mask"), ("composites", "masks"), ("composite_images", "masks"))


@dataclass(frozen=True)
class Shown:
    """composite, real (H,W,3) uint8, real None where nobody knows it; mask (H,W) uint8."""

    name: str
    composite: np.ndarray
    mask: np.ndarray
    real: np.ndarray | None


def shown(root: Path, names: Sequence[str] = (), most: int | None = None) -> list[Shown]:
    """The pictures with these names, in their order; without names the first `most`.

    root: iHarmony4, photographs with masks, or real composites: a folder `composite` of NAME.jpg and a folder
    `mask` of NAME.png. Raises BadRequest for names that are not there, FileNotFoundError, BadPicture.
    """
    found: dict[str, Shown] = {}
    for each in _composites(root) if _folders(root) else _triples(root, names):
        if not names or each.name in names:
            found[each.name] = each
        if len(found) == (len(names) or most):
            break
    if missing := [name for name in names if name not in found]:
        raise BadRequest(f"{root} has no picture called {some(missing)}: see the names of its composites.")
    return [found[name] for name in names] if names else list(found.values())


def without_truth(root: Path) -> bool:
    """Whether the folder holds real composites, whose true colours nobody knows."""
    return _folders(root) is not None and not iharmony4.is_copy(root)


def _folders(root: Path) -> tuple[Path, Path] | None:
    """The folders of composites and of masks, None if there is a truth to be had."""
    for composites, masks in FOLDERS:
        if (root / composites).is_dir() and (root / masks).is_dir():
            return root / composites, root / masks
    return None


def _composites(root: Path) -> Iterator[Shown]:
    composites, masks = _folders(root) or (root, root)
    of_mask = {path.stem: path for path in masks.iterdir() if path.suffix.lower() in SUFFIXES}
    for path in sorted(composites.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem not in of_mask:
            raise BadRequest(f"{path} has no mask: put {path.stem}.png into {masks}.")
        image, size = read_photo(path, str(path))
        mask = read_mask(of_mask[path.stem], str(of_mask[path.stem]), size)
        yield Shown(path.stem, np.asarray(image), np.asarray(mask), None)


def _triples(root: Path, names: Sequence[str]) -> Iterator[Shown]:
    triples = chosen_triples(root, names) if iharmony4.is_copy(root) and names else triples_of(root)
    for triple in triples:
        yield Shown(triple.name, triple.composite, triple.mask, triple.real)
