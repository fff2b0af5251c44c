"""`glihamba harmonize --cluster` on a Ray with two workers, and the messages about manifests."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from glihamba.cli import cli, sentence
from glihamba.commands import cluster

COUNT = 12


@pytest.fixture(scope="module")
def workers():
    """A Ray on this machine with two workers. The fixture ends it."""
    ray = pytest.importorskip("ray", reason="no Ray here: pip install 'glihamba[cluster]'")
    pytest.importorskip("ray.data", reason="no ray.data here: pip install 'glihamba[cluster]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    ray.data.DataContext.get_current().wait_for_min_actors_s = 3600  # so that both have something to do
    yield ray
    ray.shutdown()


@pytest.fixture
def manifest(tmp_path):
    """Twelve composites with masks; the fourth is cut short, and the fifth has no mask."""
    (tmp_path / "in").mkdir()
    lines = []
    for n in range(COUNT):
        pixels = np.full((40, 60, 3), 90 + n, np.uint8)
        mask = np.zeros((40, 60), np.uint8)
        mask[10:30, 20:40] = 255
        pixels[mask > 0] = (200, 120, 40)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{n}.png")
        Image.fromarray(mask).save(tmp_path / "in" / f"m{n}.png")
        lines.append((f"in/{n}.png", f"in/m{n}.png", f"out/{n}.png"))
    whole = (tmp_path / "in" / "3.png").read_bytes()
    (tmp_path / "in" / "3.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "m4.png").rename(tmp_path / "in" / "later.png")
    return write(tmp_path / "list.csv", lines)


@pytest.fixture
def deadly(monkeypatch):
    """The eighth picture kills the worker that takes it."""

    class Mortal(cluster.OneWorker):
        def __call__(self, row):
            if row["composite"].endswith("/7.png"):
                import os

                os._exit(9)
            return super().__call__(row)

    monkeypatch.setattr(cluster, "OneWorker", Mortal)


def write(path, lines, columns=cluster.COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *lines])
    return path


def run(*words):
    return CliRunner().invoke(cli, ["harmonize", *map(str, words)], standalone_mode=False)


def told(*words):
    done = run(*words, "--json")
    assert done.exception is None, done.exception
    assert done.stdout.startswith("{"), done.stdout[:500]
    return done.return_value, json.loads(done.stdout)


def test_a_job_lists_failures_and_is_resumed(workers, manifest, tmp_path, own_home):
    command = (manifest, "--cluster", "--model", "statistics")
    status, first = told(*command)
    assert status == 1
    assert (len(first["done"]), first["kept"]) == (COUNT - 2, 0)
    assert len({row["worker"] for row in first["done"]}) == 2
    assert {row["model"] for row in first["done"]} == {"statistics"}
    reasons = {row["composite"].rpartition("/")[2]: row["reason"] for row in first["failed"]}
    assert reasons.keys() == {"3.png", "4.png"}
    assert "m4.png" in reasons["4.png"]
    assert all(reason.endswith(".") for reason in reasons.values()), reasons
    before, after = (np.asarray(Image.open(tmp_path / f / "0.png")) for f in ("in", "out"))
    mask = np.asarray(Image.open(tmp_path / "in" / "m0.png")) > 0
    assert (before[~mask] == after[~mask]).all()
    assert (before[mask] != after[mask]).any()

    # The list of failures is a manifest. One of its two pictures is repaired, and only those two are tried.
    (tmp_path / "in" / "later.png").rename(tmp_path / "in" / "m4.png")
    failures = tmp_path / "list-failed.csv"
    assert failures.read_text("utf-8").startswith("composite,mask,output,reason")
    status, again = told(failures, "--cluster", "--model", "statistics")
    assert status == 1
    assert [row["composite"].rpartition("/")[2] for row in again["done"]] == ["4.png"]
    assert len(again["failed"]) == 1

    # The whole list is run again, and existing outputs are not made again.
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    (tmp_path / "in" / "3.png").write_bytes((tmp_path / "in" / "2.png").read_bytes())
    done = run(*command)
    assert done.return_value == 0
    assert f"1 of {COUNT} pictures harmonized, {COUNT - 1} were there already." in done.stdout
    assert not failures.exists()
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert now == {**written, "3.png": now["3.png"]}


def test_a_worker_that_dies_takes_its_picture_along_and_nothing_else(workers, manifest, deadly, monkeypatch):
    """There is only one worker, so every other picture waits at the worker that dies."""
    monkeypatch.setattr(workers, "cluster_resources", lambda: {"CPU": 1})
    _, given = told(manifest, "--cluster", "--model", "statistics")
    reasons = {row["composite"].rpartition("/")[2]: row["reason"] for row in given["failed"]}
    assert reasons.pop("7.png").startswith("Its worker died")
    assert reasons.keys() == {"3.png", "4.png"}
    assert len(given["done"]) == COUNT - 3


def test_what_is_written_is_done_though_its_block_was_not(workers, tmp_path, manifest, deadly, monkeypatch):
    """Lists of more than 2,000 pictures go to the workers several at once."""
    monkeypatch.setattr(cluster, "_MOST_BLOCKS", 1)
    status, given = told(manifest, "--cluster", "--model", "statistics")
    assert status == 1
    done = {row["composite"].rpartition("/")[2] for row in given["done"]}
    assert done == {path.name for path in (tmp_path / "out").iterdir()}
    assert "0.png" in done
    reasons = {row["composite"].rpartition("/")[2]: row["reason"] for row in given["failed"]}
    assert reasons["7.png"].startswith("Its worker died")
    assert len(done) + len(reasons) == COUNT


def test_a_folder_needs_no_manifest_and_no_ray_when_all_is_done(manifest, tmp_path, monkeypatch):
    for folder in ("composites", "masks", "done"):
        (tmp_path / folder).mkdir()
    for folder in ("composites", "done"):
        (tmp_path / folder / "a.png").write_bytes((tmp_path / "in" / "0.png").read_bytes())
    (tmp_path / "masks" / "a.png").write_bytes((tmp_path / "in" / "m0.png").read_bytes())
    (tmp_path / "composites" / "b.png").write_bytes((tmp_path / "in" / "0.png").read_bytes())
    monkeypatch.setitem(sys.modules, "ray", None)
    words = (tmp_path / "composites", "--mask", tmp_path / "masks", "-o", tmp_path / "done", "--cluster")
    status, given = told(*words)
    assert (status, given["kept"]) == (1, 1)
    assert "There is no mask for it" in given["failed"][0]["reason"]
    assert (tmp_path / "done" / "failed.csv").is_file()

    # The list can be run again. The picture without a mask fails again, and no second list is written.
    listed = tmp_path / "done" / "failed.csv"
    before = listed.read_text("utf-8")
    status, again = told(listed, "--cluster")
    assert (status, again) == (1, {"done": [], "kept": 0, "failed": given["failed"]})
    assert listed.read_text("utf-8") == before
    assert [path.name for path in (tmp_path / "done").glob("*.csv")] == ["failed.csv"]
    # Once its mask is named and its output exists, nothing has failed and the list is deleted.
    (tmp_path / "done" / "b.png").write_bytes((tmp_path / "in" / "0.png").read_bytes())
    mask = tmp_path / "in" / "m0.png"
    write(listed, [(tmp_path / "composites" / "b.png", mask, tmp_path / "done" / "b.png")])
    assert told(listed, "--cluster") == (0, {"done": [], "kept": 1, "failed": []})
    assert not listed.exists()
    refused = run(manifest, "--cluster")
    assert sentence(refused.exception) == (
        "This needs ray, which is not installed: pip install 'glihamba[cluster]'"
    )


@pytest.mark.parametrize(
    ("columns", "lines", "words"),
    [
        (
            ("composite", "output"),
            [("a", "b")],
            "has no column mask: its first line must be composite,mask,output.",
        ),
        (cluster.COLUMNS, [], "lists no pictures: add one a line below its header."),
        (cluster.COLUMNS, [("a", "b", "c"), ("a", "", "d")], "has no mask in line 3."),
        ((*cluster.COLUMNS, "reason"), [("a", "", "", "why")], "has no output in line 2."),
        (cluster.COLUMNS, [("a", "b", "c"), ("d", "b", "c")], "in lines 2 and 3."),
        (cluster.COLUMNS, [("a", "b", "a")], "would overwrite"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path, columns, lines, words):
    refused = run(write(tmp_path / "list.csv", lines, columns), "--cluster")
    assert words in sentence(refused.exception)


def test_wrong_calls_are_refused(tmp_path, manifest):
    assert "it is not a CSV file in UTF-8" in sentence(run(tmp_path / "in" / "0.png", "--cluster").exception)
    assert "No such file" in sentence(run(tmp_path / "none.csv", "--cluster").exception)
    assert "leave out --local and --remote" in str(run(manifest, "--cluster", "--local").exception)
    assert "leave out --mask and -o" in str(run(manifest, "--cluster", "-o", tmp_path).exception)
    assert "A folder needs --mask" in str(run(tmp_path / "in", "--cluster").exception)
    assert "nonsuch" in sentence(run(manifest, "--cluster", "--model", "nonsuch").exception)
