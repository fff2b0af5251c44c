"""Recipes: how a model is trained. A dataclass says which keys there are; `recipe_files` reads them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from glihamba.errors import BadRequest, UnknownModel
from glihamba.networks import class_of, names, settings_of
from glihamba_training.losses import LOSSES
from glihamba_training.synthesis.settings import SynthesisSettings

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
    steps: the training's length. epoch: composites of an epoch, for what is printed; the default is the
    number in iHarmony4's training list. minutes: the length by the clock, 0 for by steps; the schedule of the
    learning rate, which is given in steps, is stretched over it. optimiser: "adam", "soap" or "muon";
    learning_rate, betas: its own; the rate rises over the first `warmup` steps and is multiplied by `decay`
    at each of `milestones` (in steps). weight_decay: the share of the rate by which each step pulls the
    matrices to zero, so that few photographs are not learned by heart. only: what the names of the weights
    to train begin with, "" for all.
    ema: decay of the moving average of the weights, 0 for the last weights themselves. loss: a name in
    `losses.LOSSES`; loss_power, smallest_area: see `losses.foreground_normalised`. own_answers: half of each
    step's composites are the last step's, as the network has left them (`own_answers.OwnAnswers`). memory: of
    so many composites what the head reads is kept; a step adds `batch` new ones and trains on `recalled`
    (`memory.Memory`), the head alone; it is not saved, so a resumed run begins with an empty one. clip:
    greatest norm of the gradient, 0 for no limit. seed: of all random draws. precision: "32", or "bf16" or
    "16" for mixed precision, or "auto", which is "bf16" where the processor computes in it and else "32".
    checkpoint_every: steps between checkpoints. keep_every: steps between checkpoints that are kept beside
    the last, 0 for none. validate_every: steps between scores of `validation` held-out pictures, 0 for none;
    the best weights are kept. log_every: steps between lines of metrics.csv. pictures_every: steps between
    pictures in TensorBoard, 0 for none. synthesis: how the pictures are made.
    """

    model: str
    size: int
    batch: int
    steps: int
    epoch: int = 65_742
    minutes: float = 0.0
    optimiser: str = "adam"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 200
    milestones: tuple[int, ...] = ()
    decay: float = 0.5
    weight_decay: float = 0.0
    ema: float = 0.999
    loss: str = "foreground"
    loss_power: float = 1.0
    smallest_area: float = 100.0
    own_answers: bool = False
    memory: int = 0
    recalled: int = 128
    clip: float = 1.0
    seed: int = 0
    precision: str = "32"
    only: str = ""
    checkpoint_every: int = 500
    keep_every: int = 0
    validate_every: int = 0
    validation: int = 64
    log_every: int = 50
    pictures_every: int = 500
    config: Mapping[str, Any] = field(default_factory=dict)
    synthesis: SynthesisSettings = field(default_factory=SynthesisSettings)

    def __post_init__(self) -> None:
        for name in ("size", "batch", "steps", "epoch", "checkpoint_every", "validation", "log_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RecipeError(f'The recipe\'s "{name}" must be a whole number above 0, not {value!r}.')
        if self.own_answers and self.batch % 2:
            raise RecipeError(f'With "own_answers" a batch is two halves: {self.batch} is not even.')
        if self.memory and (self.own_answers or self.only != "head."):
            raise RecipeError(
                'With "memory" the head alone is trained: set only = "head.", and leave out own_answers.'
            )
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
                refuse_unknown(self.config, settings_of(self.model), "config.")
            except UnknownModel as error:
                raise RecipeError(str(error)) from error

    @property
    def fresh(self) -> int:
        """New composites in a step, of all processes together."""
        return self.batch // 2 if self.own_answers else self.batch


def refuse_unknown(table: Mapping[str, Any], known: Sequence[str], prefix: str = "") -> None:
    """Raise RecipeError, with the nearest known key, for a key that is not known."""
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f' Did you mean "{prefix}{near[0]}"?' if near else ""
            raise RecipeError(f'The recipe has an unknown key "{prefix}{key}".{hint}')
