"""The optimiser that a recipe names, for the weights that it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from glihamba_training.run.muon import Muon
from glihamba_training.run.processor import precision_here
from glihamba_training.run.soap import Soap

if TYPE_CHECKING:
    from glihamba_training.run.recipe import Recipe


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of those weights that need a gradient."""
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    if recipe.optimiser != "adam":
        kind = Soap if recipe.optimiser == "soap" else Muon
        return kind(trained, recipe.learning_rate, betas=recipe.betas)
    # Lightning does not clip the gradients of a fused optimiser in mixed precision.
    fused = precision_here(recipe.precision) == "32"
    return torch.optim.Adam(trained, recipe.learning_rate, betas=recipe.betas, fused=fused)


@torch.no_grad()
def decay(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Pull the matrices to zero by `share` of the learning rate, apart from any gradient (Loshchilov and
    Hutter 2019). Shifts and the norms' gains stay.
    """
    if not share:
        return
    for group in optimiser.param_groups:
        for weights in group["params"]:
            if weights.ndim > 1:
                weights.mul_(1 - group["lr"] * share)
