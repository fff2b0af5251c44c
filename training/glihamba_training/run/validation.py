"""Pictures that a training is scored on while it runs, and never trained on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from glihamba_training.data import iharmony4
from glihamba_training.data.iharmony4 import Entry, Triple, entries, read_entry, refuse_missing
from glihamba_training.run.recipe import Recipe, RecipeError
from glihamba_training.scoring.evaluate import val_triples

ONE_IN = 50  # real pictures of iHarmony4's training list; a copy may bring an IHD_val.txt instead


def validation_triples(data: Path, recipe: Recipe) -> list[Triple]:
    """The recipe's number of pictures: photographs that are held out, or `held_out` of iHarmony4.

    iHarmony4 has no list for validation, and choosing weights on its test list would spoil the test. Raises
    RecipeError if nothing can be held out, and what `val_triples` and `read_entry` raise.
    """
    if not recipe.validate_every:
        return []
    if not iharmony4.is_copy(data):
        return list(val_triples(data, recipe.validation))
    listed = entries(data, "val") if has_val_list(data) else held_out(entries(data, "train"))
    if not listed:
        raise RecipeError(
            f"{data} has too few pictures to hold some out: write an IHD_val.txt, or set validate_every to 0."
        )
    listed = _spread(listed, recipe.validation)
    refuse_missing(data, "val" if has_val_list(data) else "train", listed)
    return [read_entry(data, entry) for entry in listed]


def held_out(listed: Sequence[Entry]) -> list[Entry]:
    """All composites of one real picture in `ONE_IN`, the same ones in every run."""
    return [entry for entry in listed if is_held_out(entry)]


def is_held_out(entry: Entry) -> bool:
    """Whether the composite's real picture is held out."""
    return zlib.crc32(entry.real.as_posix().encode()) % ONE_IN == 0


def has_val_list(data: Path) -> bool:
    """Whether a copy of iHarmony4 brings a list for validation, so that nothing need be held out."""
    return (data / "IHD_val.txt").is_file()


def _spread(listed: Sequence[Entry], count: int) -> list[Entry]:
    """At most `count` of the entries, evenly spaced, so that all subsets are among them."""
    count = min(count, len(listed))
    return [listed[index * len(listed) // count] for index in range(count)]
