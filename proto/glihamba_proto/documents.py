"""JSON that a stranger may have written: read with bounds, and every way to be wrong is a ValueError."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from glihamba_proto.files import open_regular

LONGEST = 1 << 20  # bytes of a file
_DIGITS = 18  # of a whole number


def read(path: Path, longest: int = LONGEST) -> Any:
    """The JSON value in a file. Raises OSError and ValueError."""
    with open_regular(path) as file:
        data = file.read(longest + 1)
    if len(data) > longest:
        raise ValueError(f"it is longer than {longest:,} bytes")
    return loads(data)


def loads(text: str | bytes) -> Any:
    """The JSON value that `text` (bytes: UTF-8) is. Raises ValueError.

    Refused are also values that `json` takes: NaN, infinity, numbers of very many digits, nesting that no
    stack holds, and halves of surrogate pairs, which cannot be written again.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number
