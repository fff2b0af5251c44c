"""What gpu.py runs: tests, benchmarks, a training. See gpu.py."""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from gpu_machine import REPOSITORY, Machine, Row, StepFailed, last_line

RECIPE, START = "glihamba-tiny-fine", "glihamba-tiny"
PROBES = (20, 100, 600)  # steps: the first decodes and compiles, the others' difference is the rate


class Step(NamedTuple):
    """name: for --only. command: what a person would type. work: returns its rows, or raises StepFailed."""

    name: str
    command: str
    conditions: str
    work: Callable[[], list[Row]]


def steps(machine: Machine, given: argparse.Namespace) -> Iterator[Step]:
    cpu = machine.cpu
    once = ["--runs", "1"] if cpu else ["--runs", "9"]

    def tests(words: str, minutes: float, **variables: str) -> Callable[[], list[Row]]:
        return lambda: run_tests(machine, words.split(), minutes, **variables)

    def bench(words: list[str], minutes: float) -> Callable[[], list[Row]]:
        return lambda: list(machine.json(["bench", *words, *once], minutes)["results"])

    if cpu:
        cases = "tests/ops/triton_cases.py -k self_test"
        yield Step("tests", f"pytest {cases}", "Triton's interpreter", tests(cases, 10, TRITON_INTERPRET="1"))
        yield Step("rooms", "pytest tests/test_masks.py", "", tests("tests/test_masks.py", 5))
    else:
        yield Step(
            "tests", "pytest -m gpu", "every test that needs a GPU", tests(f"-m gpu {gpu_tests()}", 20)
        )
        rooms = "tests/ops tests/networks tests/engine tests/pipeline tests/daemon tests/training"
        yield Step("rooms", f"pytest {rooms}", "all tests of what uses a device", tests(rooms, 40))
    small = ["--threads", "1"] if cpu else []
    scan, model = ["scan", *small, *(["--shape", "8", "16", "2"] if cpu else [])], ["model", *small]
    model += [START, "--side", "32"] if cpu else []
    pipeline = ["pipeline", *(["--megapixels", "0.1"] if cpu else [])]
    data = ["data", *(["--size", "32"] if cpu else [])]
    medians = f"medians of {once[1]} alternating runs"
    for words, minutes in ((scan, 20), (model, 20), (data, 10)):
        yield Step(words[0], f"glihamba bench {words[0]}", medians, bench(words, minutes))
    through = bench(pipeline, 15)
    yield Step("pipeline", "glihamba bench pipeline", medians, lambda: on_gpu(machine, through()))
    length = "two steps" if cpu else f"{given.minutes:g} minutes"
    trained = f"{length}, recipe {given.recipe}, weights from {given.start or 'the start'}"
    yield Step("train", "glihamba train", trained, lambda: train(machine, given))


def gpu_tests() -> str:
    """The files with tests that need a GPU. The others would be imported, and need more than a run has."""
    files = sorted((REPOSITORY / "tests").rglob("test_*.py"))
    found = [file for file in files if "@pytest.mark.gpu" in file.read_text("utf-8")]
    return " ".join(file.relative_to(REPOSITORY).as_posix() for file in found)


def run_tests(machine: Machine, words: list[str], minutes: float, **variables: str) -> list[Row]:
    """One row of counts. Raises StepFailed with the names of the tests that failed."""
    status, output, errors = machine.call(
        ["-m", "pytest", "-q", "--continue-on-collection-errors", "-W", "ignore::RuntimeWarning", *words],
        minutes,
        **variables,
    )
    counts = {
        kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", output)
    }
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
    if status:
        what = f"failed: {', '.join(failed[:10])}" if failed else last_line(errors or output)
        rows: list[Row] = [{**counts}] if counts else []
        raise StepFailed(f"pytest ended with status {status}, {what}", rows, output + errors)
    if not counts.get("passed"):
        raise StepFailed("No test ran.", [counts])
    return [counts]


def on_gpu(machine: Machine, rows: list[Row]) -> list[Row]:
    """The rows, if the daemon computed them on the GPU."""
    if not machine.cpu and any(row["device"] != machine.facts["name"] for row in rows):
        raise StepFailed("The daemon did not use the GPU.", rows)
    return rows


def train(machine: Machine, given: argparse.Namespace) -> list[Row]:
    """Measure the rate, train for given.minutes with the schedule scaled to them, and score the weights."""
    if not given.photos.is_dir():
        raise StepFailed(f"There are no photographs in {given.photos}: name their folder with --photos.")
    machine.work.mkdir(parents=True, exist_ok=True)
    runs = Path(tempfile.mkdtemp(prefix="runs-", dir=machine.work))

    def timed(steps: int, name: str, minutes: float, recipe: str = given.recipe) -> float:
        words = ["train", "--recipe", recipe, "--data", str(given.photos), "--run", str(runs / name)]
        words += ["--steps", str(steps), *(["--from", given.start] if given.start else [])]
        words += ["--precision", given.precision] if given.precision else []
        words += ["--batch", "2"] if machine.cpu else []
        begun = time.monotonic()
        machine.glihamba(words, minutes)
        return time.monotonic() - begun

    counts = (1, 2) if machine.cpu else PROBES
    seconds = [timed(count, f"probe-{number}", 10) for number, count in enumerate(counts)]
    rate = max((seconds[-1] - seconds[-2]) / (counts[-1] - counts[-2]), 1e-3)
    length = 2 if machine.cpu else max(2, round(60 * given.minutes / rate))
    recipe = runs / "recipe.toml"
    recipe.write_text(stretched(recipe_text(given.recipe), length), "utf-8")
    failure, taken = None, 0.0
    try:
        taken = timed(length, "trained", 1.5 * given.minutes + 5, str(recipe))
    except StepFailed as error:
        failure = error
        if not (runs / "trained" / "recipe.json").exists():
            raise
    batch = json.loads((runs / "trained" / "recipe.json").read_text("utf-8"))["batch"]
    rows: list[Row] = [{"pictures": "training", "steps": length, "batch": batch}]
    rows[0] |= {"composites_a_second": round(batch / rate, 1), "minutes": round(taken / 60, 1)}
    checkpoint = runs / "trained" / "last.ckpt"
    if checkpoint.exists():
        words = ["export", str(checkpoint), "--name", "trained", "-o", str(runs / "weights")]
        words += ["--data", str(given.photos), "--count", "2" if machine.cpu else "256"]
        metrics = machine.json(words, 30)["metrics"]
        rows += [{"pictures": pictures, **figures} for pictures, figures in metrics.items()]
    if failure:
        raise StepFailed(str(failure), rows, failure.printed)
    return rows


def recipe_text(name: str) -> str:
    path = (
        Path(name)
        if name.endswith(".toml")
        else REPOSITORY / f"training/glihamba_training/recipes/{name}.toml"
    )
    try:
        return path.read_text("utf-8")
    except OSError:
        raise StepFailed(
            f"There is no recipe {name}: name one of training/glihamba_training/recipes."
        ) from None


def stretched(text: str, length: int) -> str:
    """The recipe with its rate's milestones moved so that they fit a training of `length` steps.

    Of a recipe in epochs, both become steps. One that only extends another is left as it is.
    """
    own = re.search(r"^(?:steps|epochs) = (\d+)", text, re.M)
    share = length / int(own[1]) if own else 1.0
    text = re.sub(r"^epochs = \d+", f"steps = {length}", text, flags=re.M)

    def moved(found: re.Match[str]) -> str:
        milestones = [round(int(number) * share) for number in re.findall(r"\d+", found[1])]
        return f"milestones = {milestones}"

    return re.sub(r"^milestones = \[([\d, ]*)\]", moved, text, flags=re.M)
