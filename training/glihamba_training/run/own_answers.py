"""Training on the network's own answers without a second forward: they come back in the next step."""

from __future__ import annotations

import torch
from torch import Tensor

from glihamba_training.losses import left_of
from glihamba_training.synthesis.batch import Batch


class OwnAnswers:
    """Gives each step the new composites of the last step again, as the network has left them.

    A composite that the network changed much is replaced by its answer, as `losses.left_of` says; another one
    comes back as it was. A step then costs one forward, and half as many composites have to be made.
    kept: what comes back in the next step, None before the first.
    """

    def __init__(self) -> None:
        self.kept: Batch | None = None

    def joined(self, fresh: Batch) -> Batch:
        """The new composites, then those that come back. Those of another size are dropped."""
        if self.kept is None or self.kept.mask.shape[2:] != fresh.mask.shape[2:]:
            return fresh
        pairs = zip(fresh, self.kept, strict=True)
        return Batch(*(torch.cat((new, old.to(new.device))) for new, old in pairs))

    def keep(self, fresh: Batch, harmonized: Tensor) -> None:
        """fresh: the step's new composites. harmonized: answers (B,3,H,W), those to the new ones first."""
        answers = harmonized.detach()[: len(fresh.mask)].to(fresh.composite.dtype)
        self.kept = fresh._replace(composite=left_of(fresh.composite, fresh.mask, answers))
