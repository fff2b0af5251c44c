"""The tests' cost, their order, the tests that a tier leaves out, and fixtures that all folders share."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import glihamba  # noqa: F401  # before any test imports torch: it sets how torch's threads wait

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent

# Files and folders that take more than about two seconds, and markers that say why. They start in this
# order, the longest first, so that no processor waits for one that started late; all other files follow.
MARKERS = {
    "ops/test_triton.py": ["kernels"],
    "install/test_end_to_end.py": ["install"],
    "krita/test_bench.py": ["editor", "bench", "thorough"],
    "gimp/test_bench.py": ["editor", "bench", "thorough"],
    "gimp": ["editor"],
    "krita": ["editor"],
    "training/test_smoke.py": ["train"],
    "training/test_runs.py": ["train"],
    "training/test_commands.py": ["train"],
    "training/test_report.py": ["train"],
    "training/test_train.py": ["train"],
    "training/test_evaluate.py": ["train"],
    "training/test_export.py": ["train"],
    "training/test_validation.py": ["train"],
    "training/test_leakage.py": ["train"],
    "training/test_other_sets.py": ["train"],
    "training/test_figures.py": ["bench"],
    "training/test_reproduce.py": ["train"],
    "training/test_recipe_files.py": [],
    "training/test_protocols_samples.py": ["bench"],
    "training/test_lattice.py": ["train"],
    "ops/test_cpu.py": ["kernels"],
    "ops/test_library.py": ["kernels"],
    "training/test_development.py": ["train"],
    "training/test_optimisers.py": ["train"],
    "training/test_own_answers.py": ["train"],
    "training/test_results.py": ["train"],
    "examples/test_network.py": ["train"],
    "release/test_gpu.py": ["bench"],
    "test_style.py": [],
    "install/test_packages.py": ["install"],
    "install/test_two_prefixes.py": ["install"],
    "cluster": ["cluster"],
    "cli/test_metadata.py": ["processes"],
    "client/test_patience.py": ["processes"],
    "client/test_launcher.py": ["processes"],
    "cli/test_interrupted.py": ["processes"],
    "test_readme.py": ["processes"],
    "cli/test_harmonize.py": ["processes"],
    "cli/test_networks.py": ["processes"],
    "cli/test_measuring.py": ["bench"],
    "cli/test_commands.py": ["processes"],
    "cli/test_report.py": ["processes"],
    "cli/test_choices.py": ["processes"],
    "client/test_shared_files.py": ["processes"],
    "training/test_protocols.py": ["bench"],
    "daemon/test_deadlines.py": ["processes"],
    "cli/test_files.py": ["processes"],
    "cli/test_shadowing.py": ["processes"],
    "examples/test_editor.py": ["processes"],
    "pipeline/test_full_size.py": ["bench"],
    "daemon/test_process.py": ["processes"],
    "daemon/test_renewal.py": ["processes"],
    "daemon/test_networks.py": ["kernels"],
    "networks/test_networks.py": ["slow"],
    "networks/test_onnx_export.py": ["slow"],
    "models/test_hub.py": ["processes"],
    "networks/test_frih.py": ["slow"],
    "models/test_shipped.py": ["bench"],
    "engine/test_busy_neighbour.py": ["bench"],
}
COSTLY = {"editor", "install", "cluster", "kernels", "bench", "train", "processes", "slow"}
LEFT_OUT = pytest.StashKey[int]()
FILES_LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    tiers = parser.getgroup("tiers")
    tiers.addoption(
        "--fast", action="store_true", help=f"leave out what is marked {', '.join(sorted(COSTLY))}"
    )
    tiers.addoption("--thorough", action="store_true", help="run what is marked thorough, too")
    tiers.addoption(
        "--endurance", type=float, default=0.0, help="run tests/endurance, each for so many seconds"
    )


def rank(path: Path) -> int:
    """The number of the file's entry in MARKERS; without an entry the number of entries."""
    within = path.relative_to(TESTS)
    names = {within.as_posix(), *(folder.as_posix() for folder in within.parents)}
    return next((number for number, name in enumerate(MARKERS) if name in names), len(MARKERS))


def markers_of(path: Path) -> list[str]:
    return [*MARKERS.values(), []][rank(path)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, do not even import costly files: PyTorch's compiler and Lightning take seconds to load."""
    is_costly = collection_path.suffix == ".py" and not COSTLY.isdisjoint(markers_of(collection_path))
    if not (config.option.fast and is_costly):
        return None
    if collection_path.name.startswith("test_"):
        config.stash[FILES_LEFT_OUT] = config.stash.get(FILES_LEFT_OUT, 0) + 1
    return True


def pytest_itemcollected(item: pytest.Item) -> None:
    for name in markers_of(item.path):
        item.add_marker(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no NVIDIA GPU here that PyTorch can use; tools/gpu.py runs these tests")


@pytest.hookimpl(trylast=True)  # pytest itself orders the tests by their fixtures first
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted = set() if config.option.thorough else {"thorough"}
    unwanted |= COSTLY if config.option.fast else set()
    left_out = [item for item in items if any(mark.name in unwanted for mark in item.iter_markers())]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)
    items[:] = sorted((item for item in items if item not in set(left_out)), key=lambda item: rank(item.path))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays until the end: the tests, PyTorch and other modules.

    They are about a million objects. A daemon collects garbage when it lets a network go, pytest at its end.
    """
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Each parallel process tells the first one how many tests it left out."""
    told: dict[str, Any] = getattr(session.config, "workeroutput", {})
    told["left_out"] = [session.config.stash.get(key, 0) for key in (FILES_LEFT_OUT, LEFT_OUT)]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    files, tests = getattr(node, "workeroutput", {}).get("left_out", (0, 0))
    node.config.stash[FILES_LEFT_OUT], node.config.stash[LEFT_OUT] = files, tests


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    files, tests = (config.stash.get(key, 0) for key in (FILES_LEFT_OUT, LEFT_OUT))
    if files or tests:
        what = f"{files} files and {tests} tests" if files else f"{tests} tests"
        option = "" if config.option.fast else " --thorough"
        terminalreporter.write_line(f"Left out: {what}. To run them, too: python install.py test{option}")


@pytest.fixture(scope="session", autouse=True)
def children_hear_ctrl_c() -> None:
    """A child can be interrupted, even if the tests run in the background, where a process ignores SIGINT.

    Children inherit that a signal is ignored, but not that it has a handler: with a handler that does nothing
    this process still ignores SIGINT, and its children start with the system's default.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The photographs and sample triples beside the checkout. A fresh clone has none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout: the photographs and triples are not distributed")
    return folder


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder for one test. A daemon that was started in it ends with the test."""
    for name in [name for name in os.environ if name.startswith("GLIHAMBA_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(folder))
    monkeypatch.setenv("GLIHAMBA_EXIT_MINUTES", "5")
    yield folder
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
        process = psutil.Process(json.loads((folder / "run" / "endpoint.json").read_text())["pid"])
        if "serve" in process.cmdline():  # a stale file of a test may name any process id
            process.terminate()
