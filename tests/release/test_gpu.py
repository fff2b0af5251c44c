"""tools/gpu.py: its bundle, a rehearsal of every step, and what the pages say of graphics cards."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from training_pictures import photographs

import gpu
import gpu_bundle
import gpu_machine
import gpu_steps
import gpu_tables
from glihamba.bench.peers import peers, worded

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "tools" / "gpu.py"
RECORD: dict[str, Any] = {
    "date": "2026-12-01",
    "begun": "2026-12-01T10:00:00",
    "commit": "abc",
    "machine": "a card",
    "gpu": {"torch": "2.13.0", "cuda": "13.0"},
    "measurements": [
        {
            "command": "glihamba bench scan",
            "conditions": "once",
            "results": [{"ms": 1.5, "N": 9216}, {"ms": 2}],
        },
        {"command": "glihamba train", "conditions": "", "results": [], "failed": "Too slow."},
    ],
}
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="tools/gpu.py run is for Linux")


def shards(folder: Path, count: int, split: str) -> Path:
    """A tar of photographs with masks, named and filled by number."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{split}-00.tar" if split == "train" else folder / "val.tar", "w") as tar:
        for number in range(count):
            for part in ("jpg", "mask0.png"):
                content = f"{split} {number} {part}".encode() * 40
                member = tarfile.TarInfo(f"{split}{number}.{part}")
                member.size, member.mtime = len(content), number
                tar.addfile(member, io.BytesIO(content))
    (folder / "manifest.csv").write_text("name,split\n", "utf-8")
    return folder


def test_the_share_is_always_the_same_whole_and_below_its_limit(tmp_path: Path) -> None:
    photos = shards(tmp_path / "photos", 60, "train")
    tars = sorted(photos.glob("train*.tar"))
    names, content = gpu_bundle.share_of(tars, 60_000)
    assert (names, content) == gpu_bundle.share_of(tars, 60_000)
    assert 0 < len(names) < 60
    assert len(content) <= 60_000
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = tar.getnames()
    assert files == sorted(f"{name}.{part}" for name in names for part in ("jpg", "mask0.png"))
    assert gpu_bundle.share_of(tars, 10**6)[0][: len(names)] == names


def test_the_bundle_holds_code_and_photographs(tmp_path: Path) -> None:
    photos = shards(shards(tmp_path / "photos", 20, "train"), 3, "val")
    try:
        said = gpu_bundle.pack(tmp_path / "b.tar.gz", photos, 60)
    except gpu_machine.GpuError as error:
        pytest.skip(f"no git here: {error}")
    assert "20 photographs" in said[0]
    with tarfile.open(tmp_path / "b.tar.gz") as bundle:
        names = set(bundle.getnames())
        about = json.loads(bundle.extractfile("glihamba/bundle.json").read())  # type: ignore[union-attr]
    assert about["photographs"] == 20
    assert about["commit"]
    assert {f"glihamba/photos/{name}" for name in ("val.tar", "train-share.tar", "manifest.csv")} <= names
    assert {"glihamba/tools/gpu.py", "glihamba/pyproject.toml", "glihamba/tests/conftest.py"} <= names
    with pytest.raises(gpu_machine.GpuError, match="hold no photographs"):
        gpu_bundle.pack(tmp_path / "c.tar.gz", photos, 1)
    with pytest.raises(gpu_machine.GpuError, match=r"lacks val\.tar or manifest\.csv"):
        gpu_bundle.pack(tmp_path / "c.tar.gz", tmp_path, 60)


def test_without_a_gpu_there_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "run", "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},  # where there is no nvidia-smi
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    if sys.platform == "linux":
        assert done.stderr.startswith("No NVIDIA GPU is here: ")
    assert not (tmp_path / "out").exists()


@needs_linux
def test_a_rehearsal_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["run", "--cpu", "--output", str(REPOSITORY)]) == 1
    assert capsys.readouterr().err.startswith("A rehearsal measures nothing: ")


@needs_linux
@pytest.mark.thorough
def test_a_rehearsal_runs_every_step(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="Triton is not installed: pip install 'glihamba[test]' brings it")
    photos, out = photographs(tmp_path / "photos", 30), tmp_path / "out"
    words = ["run", "--cpu", "--photos", str(photos), "--output", str(out), "--work", str(tmp_path / "work")]
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (out / "benchmarks").glob("*.json")
    rows = {each["command"]: each["results"] for each in json.loads(file.read_text("utf-8"))["measurements"]}
    assert [command.split()[0] for command in rows] == ["pytest", "pytest", *["glihamba"] * 5]
    assert all(rows.values())
    page = (out / "docs" / "BENCHMARKS.md").read_text("utf-8")
    assert all(gpu_tables.table(each) in page for each in rows.values())
    training, *scores = rows["glihamba train"]
    assert training["steps"] == 2
    assert training["composites_a_second"] > 0
    assert all(score["psnr"] > 0 for score in scores)
    assert len(scores) == 2


@needs_linux
def test_what_is_missing_is_installed_beside_what_is_there(tmp_path: Path) -> None:
    machine = gpu_machine.Machine(cpu=True, work=tmp_path)
    gpu_machine.install(machine, ["--no-index"], ["pip"])  # which the new environment has
    gpu_machine.look(machine)
    assert machine.python.startswith(str(tmp_path))
    assert machine.facts["torch"] == torch.__version__
    with pytest.raises(gpu_machine.StepFailed, match="pip could not install glihamba-no-such-package: "):
        gpu_machine.install(machine, ["--no-index"], ["glihamba-no-such-package"])


def test_every_test_that_asks_for_a_gpu_is_marked() -> None:
    """`gpu` alone skips and finds them; a condition of its own would hide a test from tools/gpu.py."""
    asking = re.compile(r"skipif\(\s*not torch\.cuda\.is_available")
    for file in (REPOSITORY / "tests").rglob("test_*.py"):
        assert file == Path(__file__) or not asking.search(file.read_text("utf-8")), file
    assert "tests/daemon/test_device.py" in gpu_steps.gpu_tests().split()


@needs_linux
def test_a_step_that_takes_too_long_is_ended_with_what_it_started() -> None:
    """The pipe of its output is closed, and the call returns, only when nothing holds it any more."""
    program = "import subprocess, time; print('begun', flush=True); subprocess.run(['sleep', '600'])"
    with pytest.raises(gpu_machine.StepFailed, match=r"its limit of 0\.05 minutes") as caught:
        gpu_machine.Machine(cpu=True).call(["-c", program], 0.05)
    assert caught.value.printed == "begun\n"


def test_old_results_stay(tmp_path: Path) -> None:
    first = gpu.free(tmp_path / "new", "2026-12-01-a-card")
    assert first.name == "2026-12-01-a-card.json"
    first.touch()
    assert gpu.free(tmp_path / "new", "2026-12-01-a-card").name == "2026-12-01-a-card-2.json"


@needs_linux
def test_failed_tests_are_counted_and_named(tmp_path: Path) -> None:
    file = tmp_path / "test_two.py"
    file.write_text("def test_good(): pass\ndef test_bad(): assert False\n", "utf-8")
    with pytest.raises(gpu_machine.StepFailed, match=r"test_two\.py::test_bad") as caught:
        gpu_steps.run_tests(gpu_machine.Machine(cpu=True), [str(file)], 2)
    assert caught.value.rows == [{"failed": 1, "passed": 1}]


def test_a_daemon_on_the_cpu_is_a_failure_on_a_machine_with_a_gpu() -> None:
    machine, rows = gpu_machine.Machine(cpu=False, facts={"name": "a card"}), [{"device": "a processor"}]
    with pytest.raises(gpu_machine.StepFailed, match="did not use the GPU") as caught:
        gpu_steps.on_gpu(machine, rows)
    assert caught.value.rows == rows
    assert gpu_steps.on_gpu(machine, [{"device": "a card"}])


def test_a_shorter_training_lowers_its_rate_sooner() -> None:
    text = 'model = "x"\nsteps = 8000\nmilestones = [4000, 5500, 7000]\n'
    assert gpu_steps.stretched(text, 800) == text.replace("[4000, 5500, 7000]", "[400, 550, 700]")
    assert gpu_steps.stretched("steps = 5\n", 800) == "steps = 5\n"
    text = "epochs = 120\nmilestones = [60, 90]\n"
    assert gpu_steps.stretched(text, 800) == "steps = 800\nmilestones = [400, 600]\n"


def test_every_recipe_says_its_length_as_it_is_read() -> None:
    for recipe in (REPOSITORY / "training" / "glihamba_training" / "recipes").glob("*.toml"):
        text = recipe.read_text("utf-8")
        assert re.search(r"^(steps|epochs) = \d+|^extends = ", text, re.M), recipe
        if "milestones" in text:
            assert gpu_steps.stretched(text, 1) != text, recipe


def test_the_tests_packages_are_declared() -> None:
    assert gpu_machine.missing_packages() is not None  # KeyError for one that the extra `test` does not name


def test_tables_show_every_row_and_every_failure(tmp_path: Path) -> None:
    for date, machine in (("2026-11-01", "a card"), ("2026-12-01", "a card"), ("2026-11-01", "no card")):
        record = {**RECORD, "date": date, "begun": f"{date}T10:00:00", "machine": machine}
        if machine == "no card":
            record.pop("gpu")
        (tmp_path / f"{date}-{machine[:2]}.json").write_text(json.dumps(record), "utf-8")
    page = tmp_path / "page.md"
    page.write_text("before\n{}\nold\n{}\nafter\n".format(*gpu_tables.MARKERS), "utf-8")
    gpu_tables.update(page, tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert re.findall("#### .*", text) == ["#### a card, 2026-12-01"]
    assert "| ms | N |\n| --- | --- |\n| 1.5 | 9,216 |\n| 2 |  |" in text
    assert "**Failed.** Too slow." in text
    page.write_text("nothing", "utf-8")
    with pytest.raises(gpu_machine.GpuError, match="lacks the lines"):
        gpu_tables.update(page, tmp_path)


def test_the_page_has_the_tables_of_the_files_on_record(tmp_path: Path) -> None:
    page = REPOSITORY / "docs" / "BENCHMARKS.md"
    shutil.copy(page, tmp_path / "page.md")
    gpu_tables.update(tmp_path / "page.md", REPOSITORY / "benchmarks")
    assert (tmp_path / "page.md").read_text("utf-8") == page.read_text("utf-8")


def test_the_page_has_the_peers_figures() -> None:
    page = (REPOSITORY / "docs" / "BENCHMARKS.md").read_text("utf-8").replace("`", "")
    rows = peers()["results"]
    assert len(rows) > 3
    for row in map(worded, rows):
        assert f"| {row['method']} | {row['seconds']} s | {row['peak_gb']} GB |" in page
