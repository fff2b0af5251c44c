"""ccHarmony, RealHM and HVIDIT in their published layouts: scored, trained on and checked."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from training_pictures import RECIPE, iharmony4

from glihamba.cli import cli
from glihamba_training.data.check import check_data
from glihamba_training.data.iharmony4 import entries, is_copy, kind_of, read_triples
from glihamba_training.run.train import train


def subset(tmp_path, kind):
    """Pictures of HFlickr, renamed and laid out as another set publishes them; and their new names."""
    source = iharmony4(tmp_path / "source", 4) / "HFlickr"
    root = tmp_path / kind
    names = []
    for composite in sorted((source / "composite_images").iterdir()):
        real, mask, variant = composite.stem.split("_")
        if kind == "RealHM":
            to, name = root / f"vendor_testing_{variant}" / real, f"{real}x{variant}"
            to.mkdir(parents=True, exist_ok=True)
            files = {
                f"{name}_composite.jpg": composite,
                f"{name}_gt.jpg": source / "real_images" / f"{real}.jpg",
            }
            files[f"{name}_mask.jpg"] = source / "masks" / f"{real}_{mask}.png"
            files[f"{name}_small.jpg"] = composite
            for file, old in files.items():
                shutil.copy(old, to / file)
        else:
            new_real = f"Canon_00{real[1:]}" if kind == "ccHarmony" else real
            new_mask = f"{new_real}_a" if kind == "ccHarmony" else f"{real}_{mask}"
            name = f"{new_mask}_{variant}"
            for folder, old, new in (
                ("composite_images", composite, f"{name}.jpg"),
                ("masks", source / "masks" / f"{real}_{mask}.png", f"{new_mask}.png"),
                ("real_images", source / "real_images" / f"{real}.jpg", f"{new_real}.jpg"),
            ):
                (root / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(old, root / folder / new)
        names.append(name)
    return root, names


@pytest.mark.parametrize("kind", ["HVIDIT", "ccHarmony", "RealHM", "HFlickr"])
def test_a_published_layout_is_read_scored_and_checked(kind, tmp_path):
    root, names = subset(tmp_path, kind)
    if kind == "ccHarmony":
        (root / "test_list.txt").write_text("Canon_000_a\nCanon_001_a\n")
    elif kind != "RealHM":
        (root / f"{kind}_test.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    assert is_copy(root)
    assert kind_of(root) == kind
    triples = list(read_triples(root))
    assert sorted(t.name for t in triples) == sorted(names)
    assert {t.subset for t in triples} == {kind}
    for triple in triples:
        changed = (triple.composite.astype(int) - triple.real).__abs__().max(-1) > 40
        assert triple.mask[changed].min() > 0, (
            "the composite differs from its own truth in its own mask alone"
        )
        assert changed.any()

    done = CliRunner().invoke(cli, ["evaluate", "--data", str(root), "--model", "composite", "--json"])
    assert done.exit_code == 0, done.output
    scores = json.loads(done.output)["scores"]
    assert {(s["group"], s["pictures"]) for s in scores if s["group"] in ("all", kind)} == {
        ("all", 4),
        (kind, 4),
    }
    report = check_data(root)
    assert report.kind == kind
    (row,) = (row for row in report.rows if row["list"] == "test")
    assert (row["listed"], row["whole"]) == (4, 4)
    official = {"HVIDIT": 329, "ccHarmony": 1180, "RealHM": 216, "HFlickr": 828}[kind]
    assert any(f"lists 4 composites of {kind}, the official list {official:,}." in p for p in report.problems)
    entry = entries(root, "test")[0]
    (root / entry.mask).unlink()
    assert any(f"{entry.mask.as_posix()} is missing" in problem for problem in check_data(root).problems)


def test_another_set_can_be_trained_on(tmp_path):
    torch.set_num_threads(1)
    root, names = subset(tmp_path, "HVIDIT")
    (root / "HVIDIT_train.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    checkpoint = train(dataclasses.replace(RECIPE, steps=1, pictures_every=0), root, tmp_path / "run")
    assert checkpoint.is_file()
