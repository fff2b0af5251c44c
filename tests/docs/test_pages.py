"""The pages name only what exists: links, headings, files, messages, figures."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from glihamba.daemon.failures import STATUS
from glihamba.settings import describe, in_force
from glihamba_proto.messages import catalogue

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_README = 1000  # words
FILE = re.compile(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|proto))`")
# Where a page's short names begin.
ROOTS = (
    "",
    "backend/glihamba",
    "training/glihamba_training",
    "plugins/shared",
    "plugins/shared/glihamba_client",
)
BUILT = ("build", "dist", "runs", "__pycache__")
NOT_OURS = ("DATA_DIR/", "photos/", "dist/", "runs/", "build/", "logs/", "run/", "bin/")


def files(*suffixes: str) -> list[Path]:
    """The checkout's files with one of these suffixes, outside build and hidden folders."""
    found = []
    for folder, inside, names in os.walk(REPOSITORY):
        inside[:] = [name for name in inside if name == ".github" or (name[0] != "." and name not in BUILT)]
        found += [Path(folder) / name for name in names if name.endswith(suffixes)]
    return sorted(found)


PAGES = files(".md")


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)


def anchors(page: Path) -> set[str]:
    """The headings as a browser addresses them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exists(name: str) -> bool:
    return any((REPOSITORY / root / name).exists() for root in ROOTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/add-an-editor.md"])
def test_every_file_in_a_table_exists(name: str) -> None:
    rows = [line for line in prose(REPOSITORY / name).splitlines() if line.startswith("|")]
    files = {file for row in rows for file in FILE.findall(row) if not file.startswith(NOT_OURS)}
    # After a folder or a file, a row may name its siblings by their last part.
    missing = [file for file in files if not exists(file) and not beside(file, rows)]
    assert files
    assert not missing


def beside(file: str, rows: list[str]) -> bool:
    """Return True if a row that names `file` also names its folder or a file beside it."""
    for row in rows:
        named = FILE.findall(row)
        if file in named:
            folders = {str(Path(other).parent) for other in named if other != file} | set(named)
            if any(exists(f"{folder}/{file}") for folder in folders):
                return True
    return "NAME" in file


def test_every_question_of_contributing_has_one_file() -> None:
    questions = re.findall(r"^\| (.+\?) \| `(.+)` \|$", prose(REPOSITORY / "CONTRIBUTING.md"), re.M)
    assert len(questions) > 8
    assert all((REPOSITORY / file).is_file() for _, file in questions), questions


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text("utf-8").split()) <= LONGEST_README


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    pages = {page.name for page in folder.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([\w-]+\.md)\)", index))
    for page in pages:
        headings = re.findall(r"^## (.+)$", (folder / page).read_text("utf-8"), re.M)
        assert headings == ["Context", "Decision", "Figures", "Consequences"], page


def test_troubleshooting_quotes_messages_that_there_are() -> None:
    texts = list(catalogue("en").values())
    rows = re.findall(r"^\| (.+?) \| .+ \|$", prose(REPOSITORY / "docs" / "troubleshooting.md"), re.M)
    quotes = [quote for quote in rows if quote not in ("you read", "---")]
    assert len(quotes) > 20
    unknown = [quote for quote in quotes if not any(says(text, quote) for text in texts)]
    assert not unknown


def test_the_user_guide_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(GLIHAMBA_\w+)` \| (.+?) \|", prose(REPOSITORY / "docs" / "user-guide.md"), re.M)
    table = {
        setting.variable: setting.default
        for setting in describe(in_force(environ={"HOME": "/home/somebody"}))
    }
    assert [variable for variable, _ in rows] == list(table)
    for variable, default in rows:
        if default.strip("`").replace(",", "").isalnum():
            assert default.strip("`").replace(",", "") == table[variable].removesuffix(".0"), variable


def test_the_protocol_has_every_error_with_its_status() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", prose(REPOSITORY / "docs" / "protocol.md"), re.M)
    assert dict(rows) == {code: status.name for code, status in STATUS.items()}


def says(text: str, quote: str) -> bool:
    """Return True if `quote` is part of a message. An … stands for text that varies."""
    return bool(re.search(".*".join(re.escape(part) for part in quote.split("…")), text))


def test_the_speed_tables_are_measurements_on_file() -> None:
    measured = set()
    for file in sorted((REPOSITORY / "benchmarks").glob("*.json")):
        table = json.loads(file.read_text("utf-8"))
        assert file.name.startswith(table["date"])
        assert table["machine"]
        for measurement in table["measurements"]:
            assert measurement["command"]
            assert measurement["conditions"]
            measured |= {
                (value, row.get("daemon_peak_mb") or row.get("parameters_millions"))
                for row in measurement["results"]
                for value in row.values()
                if isinstance(value, int | float)
            }
    for page in ("README.md", "docs/BENCHMARKS.md"):
        text = (REPOSITORY / page).read_text("utf-8")
        through = re.findall(r"\| \d+ megapixels \| ([\d.]+) s \| (\d+) MB \|", text)
        networks = re.findall(r"\| \d+ \| (\d+) ms \| ([\d.]+) M \|", text)
        assert through, page
        for value, beside in through + networks:
            assert (float(value), float(beside)) in measured, (page, value, beside)


NEVER_RUN = "The daemon's GPU path has never run"


def has_run_on_gpu(table: dict[str, Any]) -> bool:
    """Return True if the file of measurements has a picture that went through a daemon on a GPU."""
    return bool(table.get("gpu")) and any(
        "bench pipeline" in measurement["command"] and measurement["results"] and "failed" not in measurement
        for measurement in table["measurements"]
    )


def test_the_pages_say_whether_the_daemon_has_run_on_a_gpu() -> None:
    found = [json.loads(file.read_text("utf-8")) for file in (REPOSITORY / "benchmarks").glob("*.json")]
    wanted = not any(map(has_run_on_gpu, found))
    for page in ("README.md", "docs/BENCHMARKS.md"):
        text = " ".join((REPOSITORY / page).read_text("utf-8").split())
        assert (NEVER_RUN in text) == wanted, page


@pytest.mark.parametrize(
    ("change", "has_run"), [({}, True), ({"failed": "No GPU."}, False), ({"results": []}, False)]
)
def test_only_a_measured_job_counts_as_a_run(change: dict[str, Any], has_run: bool) -> None:
    measured = {"command": "glihamba bench pipeline", "results": [{"seconds": 0.1}], **change}
    assert has_run_on_gpu({"gpu": {"name": "a GPU"}, "measurements": [measured]}) is has_run
    assert not has_run_on_gpu({"measurements": [measured]})


@pytest.mark.parametrize("file", files(".yml", ".yaml"), ids=lambda file: file.name)
def test_every_yaml_file_can_be_read(file: Path) -> None:
    table = yaml.safe_load(file.read_text("utf-8"))
    if file.parent.name == "workflows":
        assert table["jobs"]
        for job in table["jobs"].values():
            assert job["runs-on"]
            assert all(step.keys() & {"run", "uses"} for step in job["steps"])


def test_every_package_says_that_it_is_typed() -> None:
    packages = [
        *(f"{room}/glihamba{name}" for room, name in (("backend", ""), ("training", "_training"))),
        *("proto/glihamba_proto", "plugins/shared/glihamba_client"),
        *(f"plugins/{host}/glihamba_{host}" for host in ("krita", "gimp")),
    ]
    assert all((REPOSITORY / package / "py.typed").is_file() for package in packages)
