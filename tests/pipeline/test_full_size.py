"""What the way to full size costs, on real pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from glihamba.networks.statistics import Statistics
from glihamba.pipeline.harmonize import harmonize


def psnr(first, second):
    return -10 * np.log10(np.mean((first.astype(np.float64) / 255 - second.astype(np.float64) / 255) ** 2))


@pytest.mark.shared
@pytest.mark.slow
def test_full_size_keeps_the_networks_quality(shared_data):
    """On the nine triples: the full-resolution result is within 0.3 dB of what the network paints at 256."""

    def small(pixels):
        return np.asarray(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BILINEAR))

    def tensor(pixels):
        return torch.from_numpy(small(pixels).reshape(256, 256, -1).copy()).permute(2, 0, 1)[None] / 255

    network = Statistics()
    own, corrected, full = [], [], []
    for path in sorted((shared_data / "iharmony4_sample").glob("*/composite_images/*.jpg")):
        folder = path.parent.parent
        composite = np.array(Image.open(path).convert("RGB"))
        real = np.array(Image.open(folder / "real_images" / f"{path.stem.split('_')[0]}.jpg").convert("RGB"))
        mask = np.array(Image.open(folder / "masks" / f"{path.stem.rsplit('_', 1)[0]}.png").convert("L"))
        painted = network(tensor(composite), tensor(mask))[0].permute(1, 2, 0).mul(255).round().numpy()
        result = harmonize(composite, mask, network).pixels
        own.append(psnr(painted, small(real)))
        corrected.append(psnr(small(result), small(real)))
        full.append(psnr(result, real))
    assert len(own) == 9
    assert np.mean(corrected) > np.mean(own) - 0.1
    assert np.mean(full) > np.mean(own) - 0.3
