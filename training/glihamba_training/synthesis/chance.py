"""Random draws by seed and step. They are made on the CPU, wherever the rest is computed."""

from __future__ import annotations

import torch
from torch import Tensor


def generator(seed: int, step: int) -> torch.Generator:
    """The same draws for the same seed and step, whoever asks and when."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def coins(p: float, count: int, g: torch.Generator, like: Tensor) -> Tensor:
    """(count,1,1,1) bool on `like`'s device, each true with probability `p`."""
    return (torch.rand(count, generator=g) < p).view(-1, 1, 1, 1).to(like.device)


def drawn(p: float, count: int, g: torch.Generator) -> Tensor:
    """Indices of the pictures that a chance of `p` falls on. They stay on the CPU: a GPU need not wait."""
    return (torch.rand(count, generator=g) < p).nonzero()[:, 0]
