"""LPIPS beside the other figures, and what is said where its parts are missing."""

from __future__ import annotations

import csv
import importlib
import sys

import numpy as np
import pytest
import torch

from glihamba.errors import BadRequest
from glihamba_training.data.iharmony4 import Triple
from glihamba_training.report.tables import overall, table_1
from glihamba_training.scoring import perceptual
from glihamba_training.scoring.evaluate import evaluate, write_csv


def scored(**more):
    """Scores of a composite whose first quarter is ten levels too bright."""
    real = np.full((256, 256, 3), 100, np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    mask[:128, :128] = 255
    composite = real + (mask // 255 * 10)[..., None]
    return evaluate(
        [Triple("t", "made", composite, mask, real)], {"composite": None}, ["strict", "fullres"], **more
    )


def test_it_stands_beside_the_other_figures(tmp_path):
    rows = scored(perceptual=lambda got, wanted: float((got - wanted).abs().mean()))
    wanted = 10 / 255 / 4
    assert [row.scores.lpips for row in rows] == pytest.approx([wanted] * 2), "whole pictures, both protocols"
    assert "LPIPS" in [column.name for column in overall(rows).columns]
    with_all = table_1(rows, "strict", beside=False, metrics=("psnr", "lpips"))
    assert [column.name for column in with_all.columns] == ["PSNR", "PSNR", "LPIPS"], "of all pictures alone"
    write_csv(rows, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open() as stream:
        assert [float(line["lpips"]) for line in csv.DictReader(stream)] == pytest.approx(
            [wanted] * 2, rel=1e-4
        )


def test_nobody_who_did_not_ask_sees_it(tmp_path):
    rows = scored()
    assert "LPIPS" not in [column.name for column in overall(rows).columns]
    write_csv(rows, tmp_path / "scores.csv")
    assert "lpips" not in (tmp_path / "scores.csv").read_text()


def test_without_torchvision_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(
        BadRequest, match=r"^LPIPS needs a torchvision that fits PyTorch \d+\.\d+.*: install it"
    ):
        perceptual.lpips()


@pytest.fixture
def torchvision(monkeypatch, tmp_path):
    """torchvision, and an empty folder where it looks for weights."""
    try:
        found = importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"no torchvision that fits this PyTorch: {error}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return found


def test_without_weights_a_sentence_says_where_they_belong(torchvision, tmp_path):
    with pytest.raises(
        BadRequest, match=r"LPIPS needs AlexNet's weights: download https://.*\.pth .* into "
    ) as said:
        perceptual.lpips()
    assert str(tmp_path) in str(said.value)


def test_equal_pictures_have_no_distance(torchvision, tmp_path):
    torch.manual_seed(0)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), perceptual._weights())
    distance = perceptual.lpips()
    picture = torch.rand(1, 3, 96, 64)
    near, far = ((picture + a * torch.randn_like(picture)).clamp(0, 1) for a in (0.02, 0.3))
    assert distance(picture, picture) == 0
    assert 0 < distance(picture, near) < distance(picture, far)
