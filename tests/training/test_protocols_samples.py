"""The protocols on nine composites of iHarmony4: each as its public code computes it, and as published."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from glihamba_training.data.iharmony4 import read_triples
from glihamba_training.scoring.protocols import PROTOCOLS

BESIDE = Path(__file__).resolve().parents[3] / "shared"
SAMPLE, PUBLISHED = BESIDE / "data/iharmony4_sample", BESIDE / "design/protocols.csv"
STORED = Path(__file__).with_name("protocols_composites.csv")

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not PUBLISHED.is_file(), reason="the sample of iHarmony4 is not beside the checkout"),
]


@pytest.fixture(scope="module")
def triples():
    return sorted(read_triples(SAMPLE), key=lambda triple: triple.name)


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_fullres_is_what_was_published_for_each_composite(triples):
    """PCT-Net's file gives PSNR, MSE, fMSE and SSIM of each; its SSIM has another window."""
    published = {row["name"]: row for row in rows(PUBLISHED) if row["method"] == "composite"}
    for triple in triples:
        scores, expected = PROTOCOLS["fullres"](triple, None), published[triple.name]
        assert scores.psnr == pytest.approx(float(expected["psnr"]), abs=2e-5)
        assert scores.mse == pytest.approx(float(expected["mse"]), rel=1e-5)
        assert scores.fmse == pytest.approx(float(expected["fmse"]), rel=1e-5)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_composite_scores_what_is_stored(triples, name):
    stored = {row["picture"]: row for row in rows(STORED) if row["protocol"] == name}
    assert set(stored) == {triple.name for triple in triples}
    for triple in triples:
        scores = PROTOCOLS[name](triple, None)
        for metric in ("psnr", "mse", "fmse", "ssim"):
            expected = float(stored[triple.name][metric])
            assert getattr(scores, metric) == pytest.approx(expected, rel=1e-5), (triple.name, metric)


@pytest.mark.parametrize("name", ["dovenet", "idih", "gtbg"])
def test_public_code_step_by_step_gives_the_same(triples, name):
    """The rules once more, in NumPy and in the order of the public code, without any code of ours."""
    for triple in triples:
        scores = PROTOCOLS[name](triple, None)
        mse, fmse, psnr = _by_opencv(triple) if name == "idih" else _by_pillow(triple, name == "gtbg")
        assert scores.mse == pytest.approx(mse, rel=2e-5)
        assert scores.fmse == pytest.approx(fmse, rel=2e-5)
        assert scores.psnr == pytest.approx(psnr, abs=1e-4)


def _by_opencv(triple):
    composite, real = (cv2.resize(p, (256, 256)).astype(np.float64) for p in (triple.composite, triple.real))
    mask = cv2.resize(triple.mask.astype(np.float32) / 255, (256, 256))[..., None]
    squared = (composite - real) ** 2
    mse = squared.mean()
    return mse, (mask * squared).sum() / (3 * mask.sum()), 10 * np.log10(real.max() ** 2 / mse)


def _by_pillow(triple, on_real):
    composite, real = (_normalised(picture) for picture in (triple.composite, triple.real))
    mask = np.asarray(Image.fromarray(triple.mask).convert("1").resize((256, 256)))[..., None]
    output = np.where(mask, composite, real) if on_real else composite
    output, real = (((p + 1) / np.float32(2) * np.float32(255)).astype(np.uint8) for p in (output, real))
    squared = (output.astype(np.float64) - real) ** 2
    mse = squared.mean()
    spread = 255 if on_real else int(output.max()) - int(output.min())
    return mse, (mask * squared).sum() / (3 * mask.sum()), 10 * np.log10(spread**2 / mse)


def _normalised(pixels):
    small = Image.fromarray(pixels).resize((256, 256), Image.Resampling.BILINEAR)
    half = np.float32(0.5)
    return (np.asarray(small).astype(np.float32) / np.float32(255) - half) / half
