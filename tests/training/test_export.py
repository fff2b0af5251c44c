"""A checkpoint becomes a model that the store opens and that scores what its record says."""

from __future__ import annotations

import pytest
import torch

from glihamba.models import loading, registry, store
from glihamba_training.run.checkpoints import BadCheckpoint
from glihamba_training.run.export import export
from glihamba_training.run.train import averaged_weights
from glihamba_training.scoring.evaluate import evaluate, summarise, val_triples


def test_an_exported_model_can_be_added_loaded_and_scores_the_same(
    photo_shards, trained, tmp_path, monkeypatch
):
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    record = export(
        trained,
        tmp_path / "out",
        name="mine",
        title="Mine",
        description="Made by a test.",
        licence="MIT",
        training_data="Pictures made by a test,",
        scored_on={"3 made pictures": (val_triples(photo_shards, 3), ["strict"])},
    )
    assert record.training_data == "Pictures made by a test, 24 composites, the last of 32 x 32 pixels."

    added = store.add(tmp_path / "out" / "mine.safetensors")
    assert added.name == "mine"
    network = loading.load("mine")
    weights, _ = averaged_weights(trained)
    assert all(torch.equal(t, weights[name]) for name, t in network.state_dict().items())

    # A half as large, and the figures are those of the rounded weights.
    small = export(
        trained,
        tmp_path / "out",
        name="half",
        title="Half",
        description="Made by a test.",
        scored_on={"3 made pictures": (val_triples(photo_shards, 3), ["strict"])},
        half=True,
    )
    assert small.bytes < 0.55 * record.bytes
    store.add(tmp_path / "out" / "half.safetensors")
    halved = loading.load("half")
    assert {t.dtype for t in halved.state_dict().values()} == {torch.float32}
    assert all(torch.equal(t, weights[name].half().float()) for name, t in halved.state_dict().items())

    (summary,) = summarise(evaluate(val_triples(photo_shards, 3), {"mine": network}, ["strict"]))
    assert registry.get("mine").metrics["strict, 3 made pictures"]["psnr"] == round(summary.psnr, 2)


def test_a_weight_that_half_precision_has_no_room_for_is_named(trained, tmp_path):
    checkpoint = tmp_path / trained.name
    saved = torch.load(trained, weights_only=True)
    for key, value in saved["state_dict"].items():
        if key.endswith("head.base.bias"):
            value.fill_(1e5)
    torch.save(saved, checkpoint)
    with pytest.raises(
        BadCheckpoint, match=r"too large for half precision, in head\.base\.bias: export it in full\.$"
    ):
        export(checkpoint, tmp_path, name="much", title="Much", description="", scored_on={}, half=True)
    assert not (tmp_path / "much.safetensors").exists()
