"""Muon for matrices (Jordan et al. 2024), as PyTorch has it, and Adam for the rest, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

SMALLEST = 8  # of a matrix' sides: biases of four directions are no matrices


class Muon(torch.optim.Optimizer):
    """Steps of a matrix have the size of Adam's (Liu et al. 2025), so one learning rate serves both.

    betas: Adam's; the first is Muon's momentum, too. Raises ImportError where PyTorch has no Muon.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.95, 0.95)
    ) -> None:
        from torch.optim import Muon as Orthogonal

        weights = list(parameters)
        matrices = [each for each in weights if each.ndim == 2 and min(each.shape) >= SMALLEST]
        chosen = {id(each) for each in matrices}
        rest = [each for each in weights if id(each) not in chosen]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            sized_as_adam = "match_rms_adamw"
            self._parts.append(
                Orthogonal(matrices, lr, weight_decay=0.0, momentum=betas[0], adjust_lr_fn=sized_as_adam)
            )
        if rest:
            self._parts.append(torch.optim.Adam(rest, lr, betas=betas))
        super().__init__([group for part in self._parts for group in part.param_groups], {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part, group in zip(self._parts, self.param_groups, strict=True):
            # The state is kept here, so that it is saved and restored as that of any optimiser.
            part.state, part.param_groups = self.state, [group]
            part.step()
        return loss
