"""`glihamba evaluate` and `compare` on a copy of iHarmony4 made here, with any method's results."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from training_pictures import photographs

from glihamba.cli import cli, complain
from glihamba_training.scoring.evaluate import evaluate, triples_of
from glihamba_training.scoring.protocols import PERFECT
from glihamba_training.scoring.results import BadResults, ResultsFolder

NAMES = ("f1_1_1", "f2_1_1", "c3_1_2")


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=100, subsampling=0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three triples: gray scenes of 320 x 300 whose middle is 30, 40 and 50 levels off."""
    root = tmp_path_factory.mktemp("iharmony4")
    lines = []
    for number, name in enumerate(NAMES):
        subset = "HCOCO" if name.startswith("c") else "HFlickr"
        mask = np.zeros((300, 320), np.uint8)
        mask[50 : 100 + 60 * number, 60 : 160 + 40 * number] = 255
        real = np.full((300, 320, 3), 100, np.uint8)
        composite = real + (mask > 0)[..., None].astype(np.uint8) * (30 + 10 * number)
        save(root / subset / "composite_images" / f"{name}.jpg", composite)
        save(root / subset / "masks" / f"{name.rpartition('_')[0]}.png", mask)
        save(root / subset / "real_images" / f"{name.split('_')[0]}.jpg", real)
        lines.append(f"{subset}/composite_images/{name}.jpg")
    (root / "IHD_test.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def theirs(root, tmp_path):
    """Results that halve the error: one at 256 x 256, one in a subset's folder, one as JPEG."""
    folder = tmp_path / "theirs"
    half = {}
    for triple in triples_of(root):
        half[triple.name] = ((triple.composite.astype(int) + triple.real) // 2).astype(np.uint8)
    small = Image.fromarray(half["f1_1_1"]).resize((256, 256), Image.Resampling.BILINEAR)
    save(folder / "f1_1_1.png", np.asarray(small))
    save(folder / "HFlickr" / "f2_1_1.png", half["f2_1_1"])
    save(folder / "c3_1_2.jpg", half["c3_1_2"])
    return folder


def told(*words):
    """Standard output of the command, which must succeed."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.exception or done.output
    return done.stdout


def refused(*words):
    """The sentence of the command, which must fail."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code, done.output
    return str(done.exception) if not isinstance(done.exception, SystemExit) else done.output


def test_results_are_scored_beside_models(root, theirs, tmp_path):
    page, table = tmp_path / "out.html", tmp_path / "out.csv"
    words = ("evaluate", "--data", root, "--results", theirs, "--model", "statistics")
    given = json.loads(told(*words, "--protocol", "strict,gtbg", "--json", "--report", page, "--csv", table))
    scores = {(s["protocol"], s["model"], s["group"]): s for s in given["scores"]}
    for protocol in ("strict", "gtbg"):
        before, after = (scores[protocol, name, "all"] for name in ("composite", "theirs"))
        assert after["psnr"] == pytest.approx(before["psnr"] + 20 * np.log10(2), abs=0.15)
        assert after["fmse"] == pytest.approx(before["fmse"] / 4, rel=0.05)
        assert (after["pictures"], after["worsened"]) == (3, 0)
        assert scores[protocol, "theirs", "HCOCO"]["pictures"] == 1
        assert scores[protocol, "theirs", "5-15 %"]["pictures"] == 1
        assert scores[protocol, "statistics", "all"]["ssim"] <= 1
    with table.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 2 * 3 * 3
    mean = np.mean([float(x["psnr"]) for x in lines if (x["protocol"], x["model"]) == ("gtbg", "theirs")])
    assert mean == pytest.approx(scores["gtbg", "theirs", "all"]["psnr"], abs=1e-3)
    assert {x["picture"] for x in lines} == set(NAMES)
    html = page.read_text("utf-8")
    assert "Best of 3 by theirs" in html
    assert "Sun, Yao, Ban 2024" in html


def test_a_perfect_result_scores_perfectly_under_every_protocol(root, tmp_path):
    for triple in triples_of(root):
        save(tmp_path / "perfect" / f"{triple.name}.png", triple.real)
    given = told("evaluate", "--data", root, "--results", tmp_path / "perfect", "--protocol", "all", "--json")
    scores = [s for s in json.loads(given)["scores"] if (s["model"], s["group"]) == ("perfect", "all")]
    assert [s["protocol"] for s in scores] == ["strict", "dovenet", "idih", "gtbg", "fullres"]
    assert all((s["psnr"], s["mse"], s["fmse"], s["ssim"]) == (78, 0, 0, 1) for s in scores)


def test_printed_tables_name_protocol_pictures_and_papers(root, theirs):
    text = told("evaluate", "--data", root, "--results", theirs)
    for part in (
        *("All protocols, 3 pictures each", "Table 1: by subset, protocol strict, 3 pictures"),
        *("Table 2: by foreground ratio, protocol strict, 3 pictures", "HCOCO (1) PSNR", "5-15 % (1) fMSE"),
        *("7,404", "Chen et al. 2023 · gtbg", "40.46", "Sun, Yao, Ban 2024"),
    ):
        assert part in text, part
    assert "glihamba-tiny" not in text, "with results, no model is scored unasked"
    text = told("evaluate", "--data", root, "--model", "statistics", "--complexity")
    assert "Table 3: complexity" in text
    assert "48.050" in text


def test_compare_takes_models_and_folders(root, theirs, tmp_path):
    page = tmp_path / "compared.html"
    text = told("compare", "composite", theirs, "--data", root, "--report", page)
    assert "theirs (second) against composite (first), protocol strict, 3 pictures" in text
    given = json.loads(told("compare", "composite", theirs, "--data", root, "--json"))
    everything = given["strict"]["lines"][0]
    assert everything["values"][2] == pytest.approx(20 * np.log10(2), abs=0.15)
    assert everything["values"][6] == 3
    assert "theirs ahead by" in page.read_text("utf-8")
    assert "Both methods are called theirs" in refused("compare", theirs, theirs, "--data", root)


def test_missing_doubled_and_mis_sized_results_are_named(root, theirs):
    (theirs / "c3_1_2.jpg").unlink()
    (theirs / "HFlickr" / "f2_1_1.png").unlink()
    assert refused("evaluate", "--data", root, "--results", theirs) == (
        f"{theirs} lacks 2 of 3 results: f2_1_1, c3_1_2; they must be named like the composites, NAME.png or"
        " NAME.jpg."
    )
    for name in ("f2_1_1", "c3_1_2"):
        save(theirs / f"{name}.png", np.zeros((300, 321, 3), np.uint8))
    assert refused("evaluate", "--data", root, "--results", theirs) == (
        f"2 of 3 results in {theirs} are of another size: f2_1_1 (321 x 300, not 320 x 300), c3_1_2 (321 x"
        " 300, not 320 x 300); 256 x 256 fits too, else only their composite's."
    )
    for name in ("f2_1_1", "c3_1_2"):
        save(theirs / f"{name}.png", np.zeros((300, 320, 3), np.uint8))
    told_so = refused("evaluate", "--data", root, "--results", theirs, "--protocol", "all")
    assert "f1_1_1 (256 x 256, not 320 x 300); protocol fullres takes only their composite's." in told_so
    shutil.copy(theirs / "f1_1_1.png", theirs / "HFlickr" / "f1_1_1.png")
    assert "several results for f1_1_1: keep one of each." in refused(
        "evaluate", "--data", root, "--results", theirs
    )


def test_a_composite_that_the_copy_lacks_is_not_the_results_fault(root, theirs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    (copy / "HFlickr" / "composite_images" / "f2_1_1.jpg").unlink()
    assert refused("evaluate", "--data", copy, "--results", theirs) == (
        "IHD_test.txt names HFlickr/composite_images/f2_1_1.jpg: HFlickr/composite_images/f2_1_1.jpg is"
        " missing. Complete the copy, or take it off the list."
    )


def test_damaged_results_are_named(root, theirs):
    cut = theirs / "HFlickr" / "f2_1_1.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    with pytest.raises(BadResults, match=r"f2_1_1\.png cannot be read .*: write it again\."):
        evaluate(triples_of(root), {"theirs": ResultsFolder(theirs)}, ["strict"])
    cut.write_bytes(b"no picture")
    with pytest.raises(BadResults, match=r"f2_1_1\.png cannot be read"):
        ResultsFolder(theirs).refuse_unscorable(root, ["strict"])


def test_wrong_calls_are_refused_before_any_work(root, theirs, tmp_path, photo_shards):
    assert "There is no protocol nonsuch: choose strict, dovenet, idih, gtbg, fullres, or all." in refused(
        "evaluate", "--data", root, "--protocol", "strict,nonsuch"
    )
    assert "is not a copy of iHarmony4" in refused("evaluate", "--data", photo_shards, "--results", theirs)
    assert "make the folder" in refused("evaluate", "--data", root, "--report", tmp_path / "no" / "out.html")
    assert "name a model with --model" in refused(
        "evaluate", "--data", root, "--results", theirs, "--complexity"
    )
    again = tmp_path / "again" / "theirs"
    shutil.copytree(theirs, again)
    assert "Two methods are called theirs: rename a folder." in refused(
        "evaluate", "--data", root, "--results", theirs, "--results", again
    )
    assert complain(BadResults("x")) == 1


def one_val_photograph(root, kind, rows, columns):
    """A shard with noise and one mask, which covers rows and columns from one to another."""
    mask = np.zeros((300, 300), np.uint8)
    mask[slice(*rows), slice(*columns)] = 255
    save(root / "p.jpg", np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8))
    save(root / "p.mask0.png", mask)
    (root / "manifest.csv").write_text(f"name,split,mask_kinds\np,val,{kind}\n")
    with tarfile.open(root / "val.tar", "w") as tar:
        for name in ("p.jpg", "p.mask0.png"):
            tar.add(root / name, name)


def test_masks_of_regions_are_no_measure(tmp_path):
    one_val_photograph(tmp_path, "r", rows=(90, 200), columns=(90, 200))
    assert refused("evaluate", "--data", tmp_path, "--model", "statistics") == (
        f"{tmp_path} has no masks of whole objects, and only those are a measure: put NAME.mask0.png beside"
        " NAME.jpg."
    )


def test_a_sky_is_no_measure_of_what_is_pasted(tmp_path):
    one_val_photograph(tmp_path, "h", rows=(0, 140), columns=(0, 300))
    assert refused("evaluate", "--data", tmp_path, "--model", "statistics", "--pasted") == (
        f"{tmp_path} has no masks of whole objects that can be pasted, and only those are a measure: put"
        " NAME.mask0.png beside NAME.jpg."
    )


def test_what_is_in_harmony_is_given_as_it_is(root, theirs, tmp_path):
    words = ("evaluate", "--data", root, "--harmonious")
    page = tmp_path / "page.html"
    scores = json.loads(told(*words, "--model", "statistics", "--report", page, "--json"))["scores"]
    overall = {s["model"]: s for s in scores if s["group"] == "all"}
    assert overall["composite"]["psnr"] == PERFECT, "the real pictures themselves"
    assert overall["statistics"]["psnr"] > 45, "gray on the same gray"
    assert page.is_file()
    assert refused(*words, "--results", theirs) == (
        "--harmonious is for models, and --results holds harmonized composites: leave out one."
    )


def test_objects_can_be_scored_where_they_are_not_at_home(root, tmp_path):
    photos, page = photographs(tmp_path / "photos", 40), tmp_path / "page.html"
    words = ("evaluate", "--data", photos, "--model", "statistics", "--count", 4, "--json")
    home, away = (
        {s["model"]: s for s in json.loads(told(*words, *more))["scores"] if s["group"] == "all"}
        for more in ((), ("--pasted", "--report", page))
    )
    assert away["composite"]["pictures"] == 4
    assert away["composite"]["psnr"] != home["composite"]["psnr"]
    assert away["composite"] == away["composite"] | {"worsened": 0}
    assert page.is_file()
    assert refused("evaluate", "--data", root, "--pasted") == (
        f"{root} is iHarmony4, which has its own composites. Leave out --pasted: it is for photographs."
    )


def test_progress_is_printed_where_no_bar_can_be_drawn(root, theirs, monkeypatch):
    monkeypatch.setattr("glihamba.commands.common.LINES_APART", 0.0)
    done = CliRunner().invoke(cli, ["evaluate", "--data", str(root), "--results", str(theirs)])
    assert done.exit_code == 0, done.output
    assert [line for line in done.stderr.splitlines() if "pictures" in line] == [
        f"{number} of 3 pictures" for number in (1, 2, 3)
    ]
