"""A composite of a data set with its truth: the three files it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glihamba.errors import BadRequest


class BadList(BadRequest, ValueError):
    """A list with a line that does not name a composite; `str(error)` quotes it."""


@dataclass(frozen=True)
class Entry:
    """A line of a list, and the three files it stands for; paths are relative to the root.

    folder: where `masks` and `real_images` lie, None for the subset's name.
    """

    line: str
    subset: str
    name: str
    folder: str | None = None

    @property
    def composite(self) -> Path:
        return Path(self.line)

    @property
    def mask(self) -> Path:
        return Path(self._folder, "masks", f"{self.name.rpartition('_')[0]}.png")

    @property
    def real(self) -> Path:
        return Path(self._folder, "real_images", f"{self.name.rsplit('_', 2)[0]}.jpg")

    @property
    def _folder(self) -> str:
        return self.subset if self.folder is None else self.folder


class RealHMEntry(Entry):
    """NAME_composite.jpg, with NAME_mask.jpg and NAME_gt.jpg beside it."""

    @property
    def mask(self) -> Path:
        return self._beside("mask")

    @property
    def real(self) -> Path:
        return self._beside("gt")

    def _beside(self, what: str) -> Path:
        return self.composite.with_name(f"{self.name}_{what}.jpg")
