"""`glihamba bench`, `train` and `evaluate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_pictures import as_json, here

pytestmark = pytest.mark.usefixtures("own_home")


def test_bench_measures() -> None:
    told = as_json("bench", "pipeline", "--megapixels", "0.1", "--megapixels", "0.2", "--runs", "1")
    assert [result["megapixels"] for result in told["results"]] == [0.1, 0.2]
    assert all(result["seconds"] >= result["seconds_computed"] >= 0 for result in told["results"])
    assert told["machine"]["cores"] == os.cpu_count()
    if sys.platform == "linux":
        assert told["results"][0]["daemon_peak_mb"] > 50
    told = as_json("bench", "transport", "--megabytes", "3", "--runs", "1")
    assert told["results"][0]["megabytes_each_way"] == pytest.approx(3, rel=0.01)
    assert as_json("status", status=1) == {"running": False}  # the benchmark used its own daemon


def test_the_naive_scan_it_compares_with_is_right() -> None:
    import torch

    from glihamba.bench.cpu import naive, scan_inputs
    from glihamba.ops.reference import ss2d_reference

    given = scan_inputs(5, 16, 3)
    assert torch.allclose(naive(given), ss2d_reference(given), atol=1e-4)


def test_bench_compares() -> None:
    scan = ("bench", "scan", "--shape", "8", "16", "2", "--threads", "1", "--threads", "2", "--runs", "1")
    rows = [row for row in as_json(*scan)["results"] if "threads" in row]  # a graphics card adds its own
    assert [(row["threads"], row["direction"]) for row in rows] == [
        (1, "forward"),
        (2, "forward"),
        (1, "backward"),
        (2, "backward"),
    ]
    assert all((row["D"], row["L"], row["N"]) == (8, 16, 2) for row in rows)
    assert all(row.keys() >= {"ms", "speedup_torch"} for row in rows)
    assert [row["speedup_naive"] is None for row in rows] == [False, False, True, True]
    refused = here("bench", "scan", "--shape", "8", "15", "2")
    assert refused.returncode != 0
    assert "15 is not a square number; try 16." in refused.stderr
    told = as_json("bench", "model", "statistics", "glihamba-tiny", "--runs", "1")
    tiny = {result["model"]: result for result in told["results"]}["glihamba-tiny"]
    assert tiny["parameters"] > 100_000
    assert tiny["gflops"] > 0
    assert tiny["times_floor"] == pytest.approx(tiny["milliseconds"] / tiny["floor_milliseconds"], rel=0.1)
    told = as_json("bench", "model", "glihamba-tiny", "--side", "32", "--threads", "1", "--runs", "1")
    assert (told["results"][0]["working_size"], told["results"][0]["threads"]) == (32, 1)
    assert "milliseconds" in here("bench", "model", "statistics", "--runs", "1").stdout


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_training_without_its_extra(tmp_path: Path, command: str) -> None:
    program = (
        "import sys\n"
        "for name in ('run.train', 'scoring.evaluate'): sys.modules['glihamba_training.' + name] = None\n"
        "import glihamba.commands.training as t; t.EXTRA += ('glihamba_training',)\n"
        "from glihamba.cli import main; main(sys.argv[1:])"
    )
    words = {"train": ["train", "glihamba-tiny", "--run", str(tmp_path)], "evaluate": ["evaluate"]}[command]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--data", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("which is not installed: pip install 'glihamba[train]'")


def test_training_words(tmp_path: Path) -> None:
    done = here("train", "nonsuch", "--data", tmp_path, "--run", tmp_path / "run")
    assert done.returncode == 1
    assert 'There is no recipe "nonsuch"' in done.stderr
    done = here("evaluate", "--data", tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1


def test_bench_train_measures_each_stage_and_compares_with_an_earlier_file(tmp_path: Path) -> None:
    words = ("bench", "train", "glihamba-tiny", "--size", "16", "--batch", "2", "--runs", "1")
    (row,) = as_json(*words, "--before", tmp_path)["results"]
    assert (row["recipe"], row["size"], row["batch"], row["threads"]) == ("glihamba-tiny", 16, 2, 1)
    stages = [row[f"{stage}_ms"] for stage in ("batch", "forward", "backward", "optimiser")]
    assert min(stages) > 0
    assert row["composites_a_second"] == pytest.approx(2000 / sum(stages), rel=0.1)
    assert row["times_floor"] == pytest.approx(sum(stages) / row["floor_ms"], rel=0.6)
    assert row["against_before"] is None, "an empty folder has no earlier measurement"


def test_rows_are_compared_with_the_newest_file_s_row_of_the_same_conditions(tmp_path: Path) -> None:
    from glihamba.commands.bench_train import compare, latest

    here = {"recipe": "a", "size": 96, "batch": 32, "threads": 1, "device": "this"}
    elsewhere = {**here, "device": "another"}
    for date, rate in (("2026-01-01", 1.0), ("2026-01-02", 10.0)):
        measurement = {"command": "glihamba bench train", "results": [{**here, "composites_a_second": rate}]}
        (tmp_path / f"{date}-training.json").write_text(json.dumps({"measurements": [measurement]}))
    other = {"command": "glihamba bench scan", "results": [{"ms": 1}]}
    (tmp_path / "2026-01-03-scan.json").write_text(json.dumps({"measurements": [other]}))
    measured = [{**each, "composites_a_second": 25.0} for each in (here, elsewhere)]
    assert [row["against_before"] for row in compare(measured, latest(tmp_path))] == [2.5, None]


def test_the_editors_are_measured_in_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from glihamba.commands import bench_editors

    monkeypatch.setattr(bench_editors, "_CHECKOUT", tmp_path)
    done = here("bench", "editors")
    assert done.returncode == 1
    assert "measured by the project's tests: call this in a checkout's test environment." in done.stderr
