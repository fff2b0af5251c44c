"""Pictures and networks the pipeline's tests share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glihamba.networks.base import Harmonizer
from glihamba.networks.colour_transform import ColourTransform


class Fixed(Harmonizer):
    """A harmonizer whose answer is known: always this transform."""

    working_size = 32

    def __init__(self, transform: ColourTransform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, composite, mask):
        return composite + mask * (self.transform.apply(composite) - composite)

    def colour_transform(self, composite, mask):
        return self.transform


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Use one thread, because the tensors are tiny and the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def bend() -> ColourTransform:
    """A lively transform: curved, and different from place to place."""
    generator = torch.Generator().manual_seed(11)
    identity = ColourTransform.identity(1, (3, 5))
    return ColourTransform(
        identity.base + 0.06 * torch.randn(identity.base.shape, generator=generator),
        identity.grid + 0.06 * torch.randn(identity.grid.shape, generator=generator),
    )


@pytest.fixture(scope="session")
def fixed():
    return Fixed


@pytest.fixture(scope="session")
def picture():
    """picture(height, width, channels, dtype, seed): noise over the type's whole range."""

    def make(height, width, channels=3, dtype=np.uint8, seed=0):
        random = np.random.default_rng(seed)
        shape = (height, width, channels) if channels else (height, width)
        if np.dtype(dtype).kind == "f":
            return random.random(shape, np.float32)
        return random.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    return make


@pytest.fixture(scope="session")
def soft_mask():
    """soft_mask(height, width, dtype): empty margins, a soft object in the middle."""

    def make(height, width, dtype=np.uint8):
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        distance = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
        cover = np.clip((0.4 - distance) * 8, 0, 1)
        if np.dtype(dtype).kind == "f":
            return cover.astype(np.float32)
        return np.rint(cover * np.iinfo(dtype).max).astype(dtype)

    return make
