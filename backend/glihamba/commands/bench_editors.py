"""`glihamba bench editors`: what a person waits for in the real Krita and GIMP of this machine.

The editors are driven by the project's tests, so it needs a checkout, the test environment and both editors.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from glihamba.errors import BadRequest

EDITORS = ("krita", "gimp")
_CHECKOUT = Path(__file__).parents[3]

Figures = dict[str, float]


def rows(runs: int) -> list[dict[str, Any]]:
    """The medians in seconds of what each editor's cases measure, a row each. Raises BadRequest."""
    if not all((_CHECKOUT / "tests" / editor / "test_bench.py").is_file() for editor in EDITORS):
        raise BadRequest(
            "The editors are measured by the project's tests: call this in a checkout's test environment."
        )
    found: dict[tuple[str, str], list[Figures]] = {}
    for _ in range(runs):
        for editor in EDITORS:
            for case, figures in _measured(editor).items():
                found.setdefault((editor, case), []).append(figures)
    if not found:
        raise BadRequest("Neither Krita nor GIMP could be measured here: install one of them, and Xvfb.")
    return [
        {"editor": editor, "case": case, "figure": name, "seconds": median, "runs": len(figures)}
        for (editor, case), figures in found.items()
        for name, median in _medians(figures).items()
    ]


def _measured(editor: str) -> dict[str, Figures]:
    """What one start of an editor measures: seconds by name, for each case. Nothing without the editor."""
    kept = _CHECKOUT / "build" / editor / "artefacts"
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    tests = f"tests/{editor}/test_bench.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--thorough", tests]
    done = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True)
    if done.returncode not in (0, 5):  # 5: no test ran
        raise BadRequest(f"{editor}'s benchmark failed: {done.stdout.strip().splitlines()[-1]}")
    cases: dict[str, Figures] = {}
    for path in sorted(kept.glob("*.json")):
        if path.stat().st_mtime_ns != before.get(path):
            for case, figures in json.loads(path.read_text("utf-8")).items():
                cases[case] = {name: value for name, value in figures.items() if isinstance(value, float)}
    return cases


def _medians(figures: list[Figures]) -> Figures:
    return {name: round(statistics.median(each[name] for each in figures), 3) for name in figures[0]}
