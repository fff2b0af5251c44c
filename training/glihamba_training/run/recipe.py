"""Recipes: how a model is trained. One TOML file for each, and a dataclass that says which keys there are."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from glihamba.errors import BadRequest, UnknownModel
from glihamba.networks import class_of, names, settings_of
from glihamba_training.losses import LOSSES
from glihamba_training.synthesis.settings import SynthesisSettings

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, before it joined the standard library
    import tomli as tomllib

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
"""A recipe's name -> Lightning's. With mixed precision the weights stay in 32 bits."""
AUTO = "auto"  # the precision that `processor.precision_here` finds best
OPTIMISERS = ("adam", "soap", "muon")


class RecipeError(BadRequest, ValueError):
    """A recipe that can't be followed; `str(error)` says why."""


@dataclass(frozen=True)
class Recipe:
    """model: a name that `glihamba.networks.build` knows. config: its settings that differ from the defaults.

    size: side of the training pictures in pixels. batch: pictures in a step, of all processes together.
    steps: the training's length. minutes: the length by the clock, 0 for by steps; the schedule of the
    learning rate, which is given in steps, is stretched over it. optimiser: "adam", "soap" or "muon";
    learning_rate, betas: its own; the rate rises over the first `warmup` steps and is multiplied by `decay`
    at each of `milestones` (in steps). only: what the names of the weights to train begin with, "" for all.
    ema: decay of the moving average of the weights, 0 for the last weights themselves. loss: a name in
    `losses.LOSSES`; loss_power, smallest_area: see `losses.foreground_normalised`. own_answers: half of
    each step's composites are the last step's, as the network has left them (`own_answers.OwnAnswers`).
    clip: greatest norm of the gradient, 0 for no limit. seed: of all random draws. precision: "32", or
    "bf16" or "16" for mixed precision, or "auto", which is "bf16" where the processor computes in it and
    else "32". checkpoint_every: steps between checkpoints. pictures_every: steps between pictures in
    TensorBoard, 0 for none. synthesis: how the pictures are made.
    """

    model: str
    size: int
    batch: int
    steps: int
    minutes: float = 0.0
    optimiser: str = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 200
    milestones: tuple[int, ...] = ()
    decay: float = 0.5
    ema: float = 0.999
    loss: str = "foreground"
    loss_power: float = 1.0
    smallest_area: float = 100.0
    own_answers: bool = False
    clip: float = 1.0
    seed: int = 0
    precision: str = "32"
    only: str = ""
    checkpoint_every: int = 500
    pictures_every: int = 500
    config: Mapping[str, Any] = field(default_factory=dict)
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)

    def __post_init__(self) -> None:
        for name in ("size", "batch", "steps", "checkpoint_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RecipeError(f'The recipe\'s "{name}" must be a whole number above 0, not {value!r}.')
        if self.own_answers and self.batch % 2:
            raise RecipeError(f'With "own_answers" a batch is two halves: {self.batch} is not even.')
        if self.precision not in (*PRECISIONS, AUTO):
            known = ", ".join((*PRECISIONS, AUTO))
            raise RecipeError(f'There is no precision "{self.precision}": choose {known}.')
        if self.optimiser not in OPTIMISERS:
            raise RecipeError(f'There is no optimiser "{self.optimiser}": choose {" or ".join(OPTIMISERS)}.')
        if self.loss not in LOSSES:
            raise RecipeError(f'There is no loss "{self.loss}": choose {" or ".join(LOSSES)}.')
        owners = [name for name in names() if self.loss in class_of(name).losses]
        if owners and self.model not in owners:
            raise RecipeError(
                f'The loss "{self.loss}" is only for {", ".join(owners)}: choose "foreground" for'
                f" {self.model}."
            )
        if self.model in names() and not class_of(self.model).trainable:
            raise RecipeError(f"There are no weights to train in {self.model}: choose another network.")
        if self.config:
            try:
                _refuse_unknown(self.config, settings_of(self.model), "config.")
            except UnknownModel as error:
                raise RecipeError(str(error)) from error

    @property
    def fresh(self) -> int:
        """New composites in a step, of all processes together."""
        return self.batch // 2 if self.own_answers else self.batch


def load_recipe(name_or_path: str, **overrides: Any) -> Recipe:
    """The recipe of that name in the package, or in that .toml file. overrides: values instead of its own;
    None is none. Raises RecipeError.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        text = _read(path)
    else:
        shipped = resources.files("glihamba_training") / "recipes"
        names = sorted(entry.name[:-5] for entry in shipped.iterdir() if entry.name.endswith(".toml"))
        if name_or_path not in names:
            raise RecipeError(
                f'There is no recipe "{name_or_path}": choose {", ".join(names)}, or give a .toml file.'
            )
        text = (shipped / f"{name_or_path}.toml").read_text("utf-8")
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe {path} is not a TOML file: {error}.") from error
    table = {**said, **{k: v for k, v in overrides.items() if v is not None}}
    synthesis = _make(SynthesisSettings, table.pop("synthesis", {}), "synthesis.")
    return _make(Recipe, {**table, "synthesis": synthesis})


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {path} is not a text in UTF-8: save it again as that.") from error
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error


def _make(kind: type, table: dict[str, Any], prefix: str = "") -> Any:
    _refuse_unknown(table, [f.name for f in dataclasses.fields(kind)], prefix)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"The recipe is incomplete: {error}.") from error


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f' Did you mean "{prefix}{near[0]}"?' if near else ""
            raise RecipeError(f'The recipe has an unknown key "{prefix}{key}".{hint}')
