"""Recipes: one TOML file a model, one dataclass that says what may stand in it."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from glihamba_training.synthesis import SynthesisSettings

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, under its name before it joined the standard library
    import tomli as tomllib


class RecipeError(ValueError):
    """A recipe that can't be followed; `str(error)` names the key."""


@dataclass(frozen=True)
class Recipe:
    """model: a name that `glihamba.models.build` knows. size: side of the training pictures in pixels.
    batch: pictures a step. steps: in all. learning_rate: Adam's; warmed up over `warmup` steps, multiplied
    by `decay` at each of `milestones` (in steps). ema: of the weights that are kept. loss_power: see
    `losses.foreground_normalised`. clip: of the gradient's norm.
    """

    model: str
    size: int
    batch: int
    steps: int
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 200
    milestones: tuple[int, ...] = ()
    decay: float = 0.5
    ema: float = 0.999
    loss_power: float = 1.0
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 500
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)


def load_recipe(name_or_path: str, **overrides: Any) -> Recipe:
    """The recipe shipped under that name, or in that file; `overrides` win over what it says."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        text = path.read_text()
    else:
        shipped = resources.files("glihamba_training") / "recipes"
        names = sorted(entry.name[:-5] for entry in shipped.iterdir() if entry.name.endswith(".toml"))
        if name_or_path not in names:
            raise RecipeError(
                f'There is no recipe "{name_or_path}": choose {", ".join(names)}, or give a .toml file.'
            )
        text = (shipped / f"{name_or_path}.toml").read_text()
    table = {**tomllib.loads(text), **{k: v for k, v in overrides.items() if v is not None}}
    synthesis = _make(SynthesisSettings, table.pop("synthesis", {}), "synthesis.")
    return _make(Recipe, {**table, "synthesis": synthesis})


def _make(kind: type, table: dict[str, Any], prefix: str = "") -> Any:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f' Did you mean "{prefix}{near[0]}"?' if near else ""
            raise RecipeError(f'The recipe has an unknown key "{prefix}{key}".{hint}')
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"The recipe is incomplete: {error}.") from error
