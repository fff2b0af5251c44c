"""What README and card say of other methods is what was published for the same pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED = REPOSITORY.parent / "shared/design/protocols.csv"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "docs/models/glihamba-tiny.md"]


def row(page: Path) -> dict[str, str]:
    """Method -> figure, as the page's table has them."""
    lines = page.read_text("utf-8").splitlines()
    place = next(
        index for index, line in enumerate(lines) if line.startswith("| composite | `glihamba-tiny`")
    )
    names, figures = ([cell.strip() for cell in lines[i].strip("|").split("|")] for i in (place, place + 2))
    return dict(zip(names, figures, strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_ours_are_the_record_s(page):
    record = json.loads((REPOSITORY / "backend/glihamba/weights/glihamba-tiny.json").read_text("utf-8"))
    metrics = record["metrics"]
    shown = row(page)
    assert shown["`glihamba-tiny`"] == f"{metrics['fullres, nine iHarmony4 sample triples']['psnr']:.2f} dB"
    best = metrics["fullres, nine iHarmony4 sample triples, best of three"]["psnr"]
    assert shown["best of its three answers"] == f"{best:.2f} dB"
    assert "trained on iHarmony4" in page.read_text("utf-8")


@pytest.mark.shared
@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published scores are not beside the checkout")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_theirs_are_the_published_file_s(page):
    with PUBLISHED.open(encoding="utf-8", newline="") as stream:
        scores = list(csv.DictReader(stream))
    names = {
        "composite": "composite",
        "Harmonizer": "harmonizer",
        "DCCF": "DCCF",
        "PCT-Net, CNN": "PCTNet_CNN",
        "PCT-Net, ViT": "PCTNet_ViT",
    }
    for name, method in names.items():
        of_method = [float(score["psnr"]) for score in scores if score["method"] == method]
        assert len(of_method) == 9
        assert row(page)[name] == f"{sum(of_method) / 9:.2f} dB"
