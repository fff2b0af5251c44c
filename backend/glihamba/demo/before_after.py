"""`python -m glihamba.demo.before_after HARMONIZED OUT`: show the bundled composite beside its result.

The command ends with a sentence and exit status 1 if the result is not a harmonized version of the composite.
"""

from __future__ import annotations

import sys
from pathlib import Path

from glihamba.demo import COMPOSITE, MASK

_GAP = 16  # white pixels between the pictures


def write(harmonized: Path, out: Path) -> None:
    """Write both pictures side by side to `out`.

    harmonized: the file of the result. Raises ValueError if its size or depth is not the composite's, if it
    differs outside the mask, or if the object did not change.
    """
    import numpy as np
    from PIL import Image

    with Image.open(COMPOSITE) as before, Image.open(harmonized) as after, Image.open(MASK) as mask:
        left, right, coverage = np.asarray(before), np.asarray(after), np.asarray(mask)
    if right.shape != left.shape or right.dtype != left.dtype:
        raise ValueError(f"{harmonized} has another size or depth than the composite.")
    changed = (left != right).any(axis=2)
    if changed[coverage == 0].any():
        raise ValueError(f"{harmonized} differs from the composite outside the mask.")
    if not changed[coverage == 255].any():
        raise ValueError(f"{harmonized} shows the composite without any change.")
    gap = np.full((left.shape[0], _GAP, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([left, gap, right], axis=1)).save(out, quality=90)


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), Path(sys.argv[2]))
    except ValueError as error:
        sys.exit(str(error))
