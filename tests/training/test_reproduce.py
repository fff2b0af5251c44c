"""The papers' ablations: every row has a recipe of its own, and a table is made from trainings to print."""

from __future__ import annotations

import csv
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from training_pictures import iharmony4

from glihamba.cli import cli
from glihamba.networks import build
from glihamba_training.run.checkpoints import read_checkpoint
from glihamba_training.run.recipe_files import load_recipe, recipe_names
from glihamba_training.scoring.ablations import ABLATIONS
from glihamba_training.scoring.published import BY_RATIO, BY_SUBSET

PAGE = Path(__file__).resolve().parents[2] / "docs/reproduce.md"
NARROW: dict[str, dict[str, Any]] = {
    "gknet": {"width": 8, "heads": 2},
    "hdnet": {"width": 4},
    "regional": {"width": 8},
    "frih": {"base": [4, 8, 8], "cascaded": [4, 4, 4], "fusion": 4},
}
OF_ABLATIONS = [name for name in recipe_names() if "/" in name]


pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_row_has_a_recipe_and_every_ablation_recipe_a_row():
    used = {row.recipe for ablation in ABLATIONS.values() for row in ablation.rows} - {""}
    assert used <= set(recipe_names())
    assert set(OF_ABLATIONS) <= used


@pytest.mark.parametrize("name", OF_ABLATIONS)
def test_an_ablation_s_recipe_is_three_lines_and_another_network_than_the_whole(name):
    text = (resources.files("glihamba_training") / "recipes" / f"{name}.toml").read_text("utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 5
    assert text.startswith('extends = "')
    recipe, whole = load_recipe(name), load_recipe(name.partition("/")[0])
    assert (recipe.steps, recipe.batch, recipe.synthesis) == (whole.steps, whole.batch, whole.synthesis)
    narrow = NARROW[recipe.model]
    network, plain = (build(recipe.model, **{**r.config, **narrow}) for r in (recipe, whole))
    picture, mask = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    mask[..., 12:44, 20:50] = 1
    painted = network(picture, mask)
    assert torch.isfinite(painted).all()
    assert torch.equal(painted * (mask == 0), picture * (mask == 0))
    painted.mean().backward()
    unread = [key for key, weights in network.named_parameters() if weights.grad is None]
    assert not unread, "a part that is left out has no weights"
    shapes = [{key: value.shape for key, value in n.state_dict().items()} for n in (network, plain)]
    if shapes[0] == shapes[1] and recipe.config.keys() - {"width", "cutoff"}:
        plain.load_state_dict(network.state_dict())
        with torch.no_grad():
            assert not torch.equal(network.eval()(picture, mask), plain.eval()(picture, mask))


def test_a_paper_s_last_row_is_its_published_line():
    whole = {line.method: line.figures for line in BY_SUBSET}
    by_ratio = {line.method: line.figures for line in BY_RATIO}
    for name, method in (
        ("GLIHamba Table 4", "glihamba"),
        ("GKNet Table 4", "gknet"),
        ("HDNet Table 3", "hdnet"),
        ("Regional Table 5", "regional-p"),
        ("FRIH Table 3", "frih"),
        ("FRIH Table 4", "frih"),
    ):
        row = ABLATIONS[name].rows[-1]
        published = (by_ratio if ABLATIONS[name].groups == "ratio" else whole)[method]
        assert row.recipe == method
        for group, figures in row.figures.items():
            for metric in figures.keys() & published[group].keys():
                assert figures[metric] == published[group][metric], (name, group, metric)


def test_hdnet_s_table_3_from_twenty_steps_each(tmp_path):
    """Six trainings, interrupted after the second, then scored under the public code's protocol."""
    root = iharmony4(tmp_path / "data", 6)
    (root / "IHD_test.txt").write_text((root / "IHD_train.txt").read_text())
    words = [
        "reproduce",
        "hdnet table 3",
        "--data",
        str(root),
        "--runs",
        str(tmp_path / "runs"),
        "--steps",
        "20",
    ]
    small = ("size=32", "batch=2", "config.width=4", "pictures_every=0", "checkpoint_every=10")
    words += [word for setting in small for word in ("--set", setting)]
    interrupted = CliRunner().invoke(cli, [*words, "--steps", "10"])
    assert interrupted.exit_code == 0, interrupted.output
    done = CliRunner().invoke(cli, [*words, "--csv", str(tmp_path / "scores.csv")])
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if line.startswith("The training")]
    assert told[0] == "The training hdnet/base goes on at step 10 and ends at step 20."
    assert len(told) == 6
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == ["hdnet", "hdnet-base", "hdnet-ld", "hdnet-learned-mask", "hdnet-mgd", "hdnet-sa"]
    assert all(read_checkpoint(tmp_path / "runs" / run / "last.ckpt")["global_step"] == 20 for run in runs)
    text = re.sub(r" +", " ", done.output)
    assert "HDNet Table 3: local dynamics (LD)" in text
    assert "protocol gtbg" in text
    assert "HDNet* 7,404 14.39 41.03 48.46 35.79 11.94 40.91 30.69 38.80 17.08 40.34 Chen et al. 2023" in text
    assert len([line for line in text.splitlines() if line.strip().endswith("measured here")]) == 7
    with (tmp_path / "scores.csv").open() as stream:
        scores = list(csv.DictReader(stream))
    assert len(scores) == 7 * 6
    mean = sum(float(s["psnr"]) for s in scores if s["model"] == "hdnet/mgd") / 6
    again = CliRunner().invoke(cli, [*words, "--json"])
    assert "The training" not in again.stderr, "what has been trained is not trained again"
    table = json.loads(again.stdout)
    (ours,) = (line for line in table["lines"] if line["method"] == "+MGD" and not line["source"])
    assert ours["values"][-1] == pytest.approx(mean, abs=1e-3)
    assert ours["values"][0] is None, "there is no picture of HAdobe5k"


def test_unknown_ablations_are_named():
    listed = CliRunner().invoke(cli, ["reproduce"])
    assert all(name in listed.output for name in ABLATIONS)
    wrong = CliRunner().invoke(cli, ["reproduce", "HDNet Table 4", "--data", "."])
    assert "There is no ablation" in str(wrong.exception)
    assert "Did you mean" in str(wrong.exception)
    assert "--data FOLDER" in CliRunner().invoke(cli, ["reproduce", "HDNet Table 3"]).output


def test_the_page_names_every_table_and_figure_of_the_five_papers():
    text = PAGE.read_text("utf-8")
    for paper, tables, figures in (
        ("GLIHamba", 4, 4),
        ("GKNet", 4, 10),
        ("HDNet", 5, 5),
        ("Regional references", 5, 7),
        ("FRIH", 6, 4),
    ):
        part = text[text.index(f"## {paper}") :].split("\n## ")[0]
        for kind, count in (("Table", tables), ("Figure", figures)):
            for number in range(1, count + 1):
                assert f"| {kind} {number}: " in part, (paper, kind, number)
    assert all(f'glihamba reproduce "{name}"' in text for name in ABLATIONS)
    rows = [line for line in text.splitlines() if re.match(r"\| (Table|Figure) \d", line)]
    assert all("`glihamba " in row or "| not: " in row for row in rows)
