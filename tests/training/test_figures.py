"""Comparison pictures, and preferences: the page in a real browser, and Bradley-Terry scores of its votes."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training_pictures import iharmony4, photographs

from glihamba.cli import cli
from glihamba.networks import build
from glihamba_training.data.shown import shown
from glihamba_training.report.figure import figure, harmonized
from glihamba_training.report.preference import BadVotes, bradley_terry, standings, write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def composites(tmp_path):
    """Real composites: nobody knows their true colours."""
    root = tmp_path / "real"
    photographs(tmp_path / "photos", 3)
    for folder in ("composite", "mask"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        shutil.copy(tmp_path / "photos" / f"p{number}.jpg", root / "composite" / f"r{number}.jpg")
        shutil.copy(tmp_path / "photos" / f"p{number}.mask0.png", root / "mask" / f"r{number}.png")
    return root


def networks():
    torch.manual_seed(0)
    return {
        "statistics": build("statistics"),
        "tiny": build("glihamba-tiny", width=8, encoder=(1, 1, 1)).eval(),
    }


def test_a_figure_has_a_column_for_each_method_and_the_truth(tmp_path):
    pictures = shown(iharmony4(tmp_path, 6, "test"), ["f1_1_2", "f0_1_1"])
    assert [picture.name for picture in pictures] == ["f1_1_2", "f0_1_1"]
    drawn = np.asarray(figure(pictures, networks(), 100))
    assert drawn.shape == (26 + 2 * 106 + 6, 5 * 106 + 6, 3)
    assert pictures[0].real is not None
    real = Image.fromarray(pictures[0].real)
    real.thumbnail((100, 100), Image.Resampling.LANCZOS)
    left, top = 6 + 4 * 106, 26 + 6 + (100 - real.height) // 2
    assert (drawn[top : top + real.height, left : left + 100] == np.asarray(real)).all()
    mask = drawn[26 + 6 + 50, 6 + 106 : 6 + 206]
    assert set(np.unique(mask > 127)) == {False, True}


def test_a_figure_of_real_composites_has_no_truth(composites, tmp_path):
    words = [
        "figure",
        "--data",
        composites,
        "--models",
        "statistics",
        "-o",
        tmp_path / "f.png",
        "--side",
        "64",
    ]
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "f.png") as drawn:
        assert drawn.size == (3 * 70 + 6, 3 * 70 + 6 + 26)
    wrong = CliRunner().invoke(cli, [*map(str, words), "--names", "r1,other"])
    assert "has no picture called other" in str(wrong.exception)
    (composites / "mask" / "r1.png").unlink()
    assert "r1.jpg has no mask" in str(CliRunner().invoke(cli, list(map(str, words))).exception)


def evaluated(*words):
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])


def test_real_composites_are_told_how_far_each_model_changes_them(composites, tmp_path):
    page, lines = tmp_path / "look.html", tmp_path / "changes.csv"
    words = ("--data", composites, "--model", "statistics,glihamba-tiny", "--count", 2)
    done = evaluated(*words, "--report", page, "--csv", lines)
    assert done.exit_code == 0, done.output
    assert "Changes, where the true colours are unknown" in done.output
    rows = list(csv.DictReader(lines.open()))
    assert [(row["model"], row["picture"]) for row in rows] == [
        (model, name) for name in ("r0", "r1") for model in ("statistics", "glihamba-tiny")
    ]
    picture = shown(composites, ["r0"])[0]
    change = harmonized(picture, build("statistics")).astype(float) - picture.composite
    inside = picture.mask[..., None] / picture.mask.sum()
    assert float(rows[0]["change"]) == pytest.approx((change**2 * inside / 3).sum() ** 0.5, rel=1e-4)
    assert float(rows[0]["warmth"]) == pytest.approx(
        ((change[..., 0] - change[..., 2]) * inside[..., 0]).sum(), rel=1e-4
    )
    assert page.read_text("utf-8").count('class="case"') == 4
    assert len(json.loads(evaluated(*words, "--json").output)["changes"]) == 4


def test_real_composites_are_not_scored(composites):
    done = evaluated("--data", composites, "--model", "statistics", "--protocol", "strict")
    assert "Nobody knows the true colours of the pictures in" in str(done.exception)
    assert "leave it out of the models" in str(
        evaluated("--data", composites, "--model", "composite").exception
    )
    for file in (*composites.glob("*/*"),):
        file.unlink()
    assert "holds no composites: put NAME.jpg into composite" in str(
        evaluated("--data", composites).exception
    )


def test_bradley_terry_gives_back_the_strengths_that_votes_were_drawn_from():
    strength = np.array([0.5, 1.0, 2.0, 4.0])
    expected = np.log(strength) - np.log(strength).mean()
    exact = strength[:, None] / (strength[:, None] + strength[None, :]) * 100
    np.fill_diagonal(exact, 0)
    assert bradley_terry(exact) == pytest.approx(expected, abs=1e-6)
    two = np.array([[0, 3], [1, 0]], float)
    assert bradley_terry(two) == pytest.approx([np.log(3) / 2, -np.log(3) / 2])
    for unsettled in ([[0, 3], [0, 0]], [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]):
        with pytest.raises(BadVotes, match="Collect more votes"):
            bradley_terry(np.array(unsettled, float))


def test_the_page_pairs_every_method_on_every_picture(composites, tmp_path):
    pictures = shown(composites)
    assert write_page(pictures, networks(), tmp_path / "vote.html", seed=3) == 9
    html = (tmp_path / "vote.html").read_text("utf-8")
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', html, re.S).group(1))  # type: ignore[union-attr]
    pairs = {(pair["picture"], *sorted((pair["left"], pair["right"]))) for pair in data["pairs"]}
    assert len(pairs) == 9
    assert {name for pair in pairs for name in pair[1:]} == {"composite", "statistics", "tiny"}
    visible = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    assert "statistics" not in visible, "a voter must not know whose picture it is"


def test_votes_of_the_command_are_ranked(tmp_path):
    votes = [("a", "b", "left")] * 6 + [("b", "a", "left")] * 2 + [("b", "c", "equal")] * 4
    for number, half in enumerate((votes[:5], votes[5:])):
        named = [{"picture": "p", "left": x, "right": y, "better": z} for x, y, z in half]
        (tmp_path / f"{number}.json").write_text(json.dumps({"votes": named}))
    files = [str(tmp_path / f"{number}.json") for number in (0, 1)]
    done = CliRunner().invoke(cli, ["preference", "scores", *files, "--json"])
    first, *others = json.loads(done.output)
    assert (first["method"], first["won"], first["votes"]) == ("a", 6, 8)
    assert first["score"] - others[0]["score"] == pytest.approx(np.log(3), abs=1e-6)
    assert others[1]["score"] == pytest.approx(others[0]["score"], abs=1e-6)
    table = CliRunner().invoke(cli, ["preference", "scores", *files])
    assert re.search(r"a +0\.732 +6 +8", table.output)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(BadVotes, match="not a file of votes"):
        standings([tmp_path / "bad.json"])


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_a_person_votes_in_a_browser(composites, tmp_path):
    """Two votes, one taken back, an equal: what would be saved, and that the pictures change."""
    write_page(shown(composites), networks(), tmp_path / "vote.html")
    html = (tmp_path / "vote.html").read_text("utf-8")
    probe = """<script>
      const seen = [], key = name => dispatchEvent(new KeyboardEvent("keydown", {key: name}));
      const fits = side => find(side).querySelector("img").src
        == pictures[pairs[votes.length].picture][pairs[votes.length][side]];
      const check = () => seen.push(fits("left"), fits("right"));
      check(); find("left").click(); check(); find("right").click(); check();
      find("back").click(); key("ArrowDown");
      const told = {votes, seen, count: find("count").textContent};
      while (votes.length < pairs.length) key("ArrowRight");
      told.end = find("count").textContent; told.off = find("left").disabled;
      document.body.textContent = JSON.stringify({...told, votes: votes.slice(0, 3)});
    </script></body>"""
    (tmp_path / "probe.html").write_text(html.replace("</body>", probe), "utf-8")
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "probe.html").as_uri()),
        ],
        capture_output=True,
        text=True,
    )
    told = json.loads(re.search(r"<body>(.*)</body>", done.stdout, re.S).group(1))  # type: ignore[union-attr]
    assert [vote["better"] for vote in told["votes"]] == ["left", "equal", "right"]
    assert told["seen"] == [True] * 6, "each side shows its own picture, before and after votes"
    assert told["count"] == "2 of 9"
    assert told["end"].startswith("9 of 9. Thank you.")
    assert told["off"]
    (tmp_path / "votes.json").write_text(json.dumps({"votes": told["votes"][:1]}))
    with pytest.raises(BadVotes, match="Too few votes"):
        standings([Path(tmp_path / "votes.json")])
