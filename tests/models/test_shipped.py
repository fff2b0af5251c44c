"""The weights in the package: whole, small, better than doing nothing, and scored as their records say."""

from __future__ import annotations

from dataclasses import dataclass

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
NINE = "nine iHarmony4 sample triples"
FREE = {"cc0", "cc-by-2.0", "cc-by-sa-2.0", "cc-by-sa-4.0"}


@dataclass(frozen=True)
class Limits:
    """nine, val: PSNR gained at least on each. left: share of val's foreground MSE. kept: PSNR in harmony."""

    nine: float
    val: float
    left: float
    kept: float


# Measured on the nine and on the ten composites below, in this order, with some room.
LIMITS = {
    "glihamba-tiny": Limits(nine=5.0, val=4.0, left=0.5, kept=39),  # 5.6 dB, 5.2 dB, 0.40, 41.1 dB
    "glihamba-tiny-free": Limits(nine=4.0, val=2.3, left=0.7, kept=35),  # 4.5 dB, 3.2 dB, 0.61, 36.9 dB
}


def test_both_ship_and_the_default_is_installed():
    assert LIMITS.keys() == {record.name for record in SHIPPED}
    assert registry.is_installed(registry.get(registry.DEFAULT))


def test_weights_for_any_use_credit_every_photograph():
    free = registry.get("glihamba-tiny-free")
    assert free.licence.startswith("Weights for any use")
    notice = registry.PACKAGED / f"{free.name}.NOTICE.txt"
    assert notice.name in free.licence
    credits = [line.rsplit(", ", 1) for line in notice.read_text("utf-8").splitlines()[2:]]
    assert f"{len(credits):,} photographs" in free.training_data
    assert {licence for _, licence in credits} <= FREE
    assert "research" not in free.licence


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_shipped_weights_load_run_and_say_where_they_come_from(record):
    assert 0 < record.bytes <= 10e6
    assert record.training_data
    assert record.licence.startswith("Weights for ")
    network = load(record.name)
    composite, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    with torch.inference_mode():
        harmonized = network(composite, mask)
    assert torch.isfinite(harmonized).all()
    assert torch.equal(harmonized * (1 - mask), composite * (1 - mask))


def scores(triples, models, protocol):
    """The composite's summary and the model's."""
    return summarise(evaluate(triples, models, [protocol]))


# Three of the nine triples at full size and ten of forty composites; --thorough scores them all.
some = pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.thorough)], ids=["some", "all"])


@some
@pytest.mark.shared
@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_they_beat_the_composite_clearly_and_score_what_the_record_says(record, every, shared_data):
    models = load_models([COMPOSITE, record.name])
    triples = list(read_triples(shared_data / "iharmony4_sample"))
    before, ours = scores(triples, models, "strict")
    assert ours.psnr == pytest.approx(record.metrics[f"strict, {NINE}"]["psnr"], abs=0.05)
    least = LIMITS[record.name]
    assert ours.psnr > before.psnr + least.nine

    chosen = triples[::every]
    (before, ours), (before_full, ours_full) = (scores(chosen, models, p) for p in ("strict", "fullres"))
    assert (ours.psnr - ours_full.psnr) - (before.psnr - before_full.psnr) < 0.3, "full size costs too much"
    if every == 1:
        assert ours_full.psnr == pytest.approx(record.metrics[f"fullres, {NINE}"]["psnr"], abs=0.05)
        assert ours_full.psnr > before_full.psnr + least.nine


@some
@pytest.mark.shared
@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_they_correct_what_is_wrong_and_leave_what_is_right(record, every, shared_data):
    models = load_models([COMPOSITE, record.name])
    composites = list(val_triples(shared_data / "photos", 40))[every // 4 :: every]
    before, ours = scores(composites, models, "strict")
    least = LIMITS[record.name]
    assert ours.psnr > before.psnr + least.val
    assert ours.fmse < least.left * before.fmse
    _, kept = scores(harmonious(composites), models, "strict")
    assert kept.psnr > least.kept, "what needs no change stays nearly as it is"
