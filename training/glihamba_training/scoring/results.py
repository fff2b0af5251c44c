"""Any method's output folder: harmonized pictures named like iHarmony4's composites."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from glihamba.errors import BadRequest
from glihamba_training.data.iharmony4 import Triple, entries, refuse_missing
from glihamba_training.scoring.protocols import PROTOCOLS

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_NAMED = 5  # at most so many names in a sentence


class BadResults(BadRequest):
    """A folder that cannot be scored; `str(error)` names the pictures and says what to do."""


class ResultsFolder:
    """NAME.png, NAME.jpg, … for each composite NAME, at any depth, in its own size or the protocols'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                self._paths.setdefault(path.stem, []).append(path)

    def refuse_unscorable(self, root: Path, protocols: Iterable[str]) -> None:
        """Raises BadResults unless there is a result of a fitting size for each test picture of `root`.

        Raises FileNotFoundError, with a sentence, if `root` itself lacks pictures.
        """
        listed = entries(root, "test")
        refuse_missing(root, "test", listed)
        names = [entry.name for entry in listed]
        if missing := [name for name in names if name not in self._paths]:
            raise BadResults(
                f"{self.folder} lacks {len(missing)} of {len(names)} results: {_some(missing)}; they must be"
                " named like the composites, NAME.png or NAME.jpg."
            )
        if twice := [name for name in names if len(self._paths[name]) > 1]:
            raise BadResults(f"{self.folder} has several results for {_some(twice)}: keep one of each.")
        chosen = [PROTOCOLS[name] for name in protocols]
        whole = [protocol.name for protocol in chosen if protocol.full_size]
        sides = {protocol.side for protocol in chosen}
        small = (min(sides), min(sides)) if len(sides) == 1 and not whole else None
        wrong = []
        for entry in listed:
            name = entry.name
            size, full = _size(self._paths[name][0]), _size(root / entry.composite)
            if size not in (full, small):
                wrong.append(f"{name} ({_times(size)}, not {_times(full)})")
        if wrong:
            fitting = (
                f"{_times(small)} fits too, else"
                if small
                else "protocol " + f"{whole[0]} takes"
                if whole
                else "protocols of different sides take"
            )
            raise BadResults(
                f"{len(wrong)} of {len(names)} results in {self.folder} are of another size: {_some(wrong)};"
                f" {fitting} only their composite's."
            )

    def pixels(self, triple: Triple) -> np.ndarray:
        """(H,W,3) uint8."""
        path = self._paths[triple.name][0]
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
        except OSError as error:
            raise _unreadable(path, error) from error


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BadResults:
    return BadResults(f"{path} cannot be read ({error}): write it again.")


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
