"""The weights in the package: whole, small, better than doing nothing, and scored as their records say."""

from __future__ import annotations

import pytest
import torch

from glihamba.models import load, registry
from glihamba_training.data.iharmony4 import read_triples
from glihamba_training.scoring.evaluate import (
    COMPOSITE,
    evaluate,
    harmonious,
    load_models,
    summarise,
    val_triples,
)

SHIPPED = [record for record in registry.records() if record.source == registry.PACKAGE]
NINE, VAL = "nine iHarmony4 sample triples", "256 val composites"


def test_glihamba_tiny_ships_and_the_default_is_installed():
    assert "glihamba-tiny" in [record.name for record in SHIPPED]
    assert registry.is_installed(registry.get(registry.DEFAULT))


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_shipped_weights_load_run_and_say_where_they_come_from(record):
    assert 0 < record.bytes <= 10e6
    assert record.training_data
    assert "research" in record.licence
    network = load(record.name)
    composite, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    with torch.inference_mode():
        harmonized = network(composite, mask)
    assert torch.isfinite(harmonized).all()
    assert torch.equal(harmonized * (1 - mask), composite * (1 - mask))


@pytest.mark.shared
@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_they_beat_the_composite_clearly_and_score_what_the_record_says(record, shared_data):
    models = load_models([COMPOSITE, record.name])
    rows = evaluate(read_triples(shared_data / "iharmony4_sample"), models, ["strict", "fullres"])
    summaries = {(s.protocol, s.model): s for s in summarise(rows)}
    for protocol in ("strict", "fullres"):
        ours, before = summaries[protocol, record.name], summaries[protocol, COMPOSITE]
        assert ours.psnr == pytest.approx(record.metrics[f"{protocol}, {NINE}"]["psnr"], abs=0.05)
        assert ours.psnr > before.psnr + 4.5
    gap = summaries["strict", record.name].psnr - summaries["fullres", record.name].psnr
    composite_gap = summaries["strict", COMPOSITE].psnr - summaries["fullres", COMPOSITE].psnr
    assert gap - composite_gap < 0.3, "what the correction at full size costs"

    val = list(val_triples(shared_data / "photos", 40))
    before, ours = summarise(evaluate(val, models, ["strict"]))
    assert ours.psnr > before.psnr + 3.5
    assert ours.fmse < 0.5 * before.fmse
    _, kept = summarise(evaluate(harmonious(val), models, ["strict"]))
    assert kept.psnr > 38, "what needs no change stays nearly as it is"
