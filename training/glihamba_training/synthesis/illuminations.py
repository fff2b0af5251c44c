"""Measured light: an object photographed under one light, in a scene under another.

A bank of illuminations is an `.npz` with `forward` and `reverse`, (N,3,11) each: `forward[i]` takes a
picture under light i to the standard light, `reverse[j]` from there to light j, on colours from 0 to 255,
clipped after each. ccHarmony's (MIT; 250 lights, fitted to photographs of a colour chart) is such a bank.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glihamba.errors import BadRequest

TERMS = 11  # r g b rg rb gb rr gg bb rgb 1


@dataclass(frozen=True)
class Illuminations:
    """forward, reverse: (N,3,11) float32, output channel by polynomial term, for colours from 0 to 255."""

    forward: Tensor
    reverse: Tensor

    def relit(self, rgb: Tensor, g: torch.Generator) -> Tensor:
        """(B,3,H,W) in [0,1] -> the same, each picture from a random light to another."""
        was, becomes = torch.randint(len(self.forward), (2, len(rgb)), generator=g)
        return _mapped(_mapped(rgb, self.forward[was]), self.reverse[becomes])


def read_illuminations(path: Path) -> Illuminations:
    """The bank in the file; raises BadRequest, with a sentence, when it holds none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            forward, reverse = (arrays[name].astype(np.float32) for name in ("forward", "reverse"))
    except (OSError, ValueError, KeyError) as error:
        raise BadRequest(f"{path} holds no illuminations: an .npz with forward and reverse.") from error
    if forward.shape != reverse.shape or forward.shape[1:] != (3, TERMS) or not len(forward):
        raise BadRequest(f"{path} holds no illuminations: forward and reverse must be (N, 3, {TERMS}).")
    return Illuminations(torch.from_numpy(forward), torch.from_numpy(reverse))


def _mapped(rgb: Tensor, matrices: Tensor) -> Tensor:
    """Each picture through its own polynomial, clipped."""
    r, g, b = (rgb * 255).unbind(1)
    one = torch.ones_like(r)
    terms = torch.stack((r, g, b, r * g, r * b, g * b, r * r, g * g, b * b, r * g * b, one), 1)
    mapped = torch.einsum("bij,bjhw->bihw", matrices.to(rgb), terms)
    return mapped.clamp(0, 255) / 255
