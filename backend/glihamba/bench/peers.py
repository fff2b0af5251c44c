"""Other methods' figures, measured once on one machine: `peers.json` owns them."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from glihamba.bench import Row


def peers() -> dict[str, Any]:
    """`machine` and `conditions` in words, and `results`: a row for each method, ours included.

    A row has `seconds` and `peak_gb` (peak resident memory, 10^9 bytes): one figure, or the least and the
    greatest.
    """
    return dict(json.loads((resources.files("glihamba.bench") / "peers.json").read_text("utf-8")))


def worded(row: Row) -> Row:
    """The row with its figures as text."""
    return {
        name: " to ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in row.items()
    }
