"""A look-up table for colours: read from a .cube file (Adobe's Cube LUT Specification 1.0, 2013), applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from glihamba.image_files import Array, BadPicture

_SIDES = range(2, 257)  # entries a side, of the specification
_LARGEST_FILE = 600_000_000  # bytes: 256 entries a side in 35 characters each


@dataclass(frozen=True)
class LookUpTable:
    """entries: (blue, green, red, 3), float32. low, high: (3,), the colours of the first and last entry."""

    entries: Array
    low: Array
    high: Array

    def apply(self, colours: Array) -> Array:
        """(H,W,3) float32, sRGB-encoded, 1 is white -> the same, trilinear, its ends beyond the table."""
        place = (colours - self.low) / (self.high - self.low) * 2 - 1
        grid = torch.from_numpy(np.ascontiguousarray(place, np.float32))[None, None]
        table = torch.from_numpy(self.entries).permute(3, 0, 1, 2)[None]
        found = F.grid_sample(table, grid, mode="bilinear", padding_mode="border", align_corners=True)
        looked_up: Array = found[0, :, 0].permute(1, 2, 0).numpy()
        return looked_up


def read(path: Path) -> LookUpTable:
    """The table in a .cube file. Raises BadPicture with what is wrong."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadPicture(f"{path} is larger than any look-up table.")
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadPicture(f"{path} is not a look-up table: it is not a text.") from error
    except OSError as error:
        raise BadPicture(f"{path} cannot be read: {error.strerror}.") from error
    words, rows = _sorted(lines, path)
    side = int(words["LUT_3D_SIZE"][0]) if re.fullmatch(r"\d+", words["LUT_3D_SIZE"][0]) else 0
    if side not in _SIDES:
        raise BadPicture(f"{path} has {words['LUT_3D_SIZE'][0]} entries a side: it must be 2 to 256.")
    if len(rows) != side**3:
        raise BadPicture(
            f"{path} has {len(rows):,} entries where {side**3:,} belong: it is damaged or cut short."
        )
    try:
        entries = np.array(rows, np.float32).reshape(side, side, side, 3)
        low, high = (np.array(words[name], np.float32) for name in ("DOMAIN_MIN", "DOMAIN_MAX"))
    except ValueError as error:
        raise BadPicture(f"{path} has an entry that is not three numbers: it is damaged.") from error
    if not np.isfinite(entries).all() or low.shape != (3,) or high.shape != (3,) or not (low < high).all():
        raise BadPicture(f"{path} has numbers that no look-up table can have: it is damaged.")
    return LookUpTable(entries, low, high)


def _sorted(lines: list[str], path: Path) -> tuple[dict[str, list[str]], list[list[str]]]:
    """The file's keywords with their values, and the entries' words."""
    words = {"DOMAIN_MIN": ["0"] * 3, "DOMAIN_MAX": ["1"] * 3}
    rows: list[list[str]] = []
    for line in lines:
        first, *rest = line.split() or ["#"]
        if first[0] in "+-.0123456789":
            rows.append([first, *rest])
        elif first[0] != "#":
            words[first] = rest or [""]
    if "LUT_3D_SIZE" not in words:
        what = "a table for each channel alone" if "LUT_1D_SIZE" in words else "no table"
        raise BadPicture(f"{path} holds {what}: a .cube file with LUT_3D_SIZE is needed.")
    return words, rows
