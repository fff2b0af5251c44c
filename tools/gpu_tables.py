"""The tables of graphics cards in docs/BENCHMARKS.md, made of the files in benchmarks/. See gpu.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpu_machine import GpuError, Row

MARKERS = ("<!-- graphics cards: begin -->", "<!-- graphics cards: end -->")
NOTHING = "Nothing has been measured on a graphics card yet."


def update(page: Path, folder: Path) -> None:
    """Replace what is between the page's markers. Raises GpuError if they are not there."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not (begin and end):
        raise GpuError(f'{page} lacks the lines "{MARKERS[0]}" and "{MARKERS[1]}": add them.')
    page.write_text(f"{before}{begin}\n{tables(folder)}\n{end}{after}", "utf-8")


def tables(folder: Path) -> str:
    """A section for each machine in `folder`'s files that has a GPU: its newest run."""
    records = [json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")]
    with_gpu = sorted((each for each in records if "gpu" in each), key=lambda each: str(each["begun"]))
    newest = {record["machine"]: record for record in with_gpu}
    return "\n\n".join(section(record) for _, record in sorted(newest.items())) or NOTHING


def section(record: dict[str, Any]) -> str:
    gpu = record["gpu"]
    with_what = [f"{name} {gpu[name]}" for name in ("torch", "triton", "cuda") if gpu.get(name)]
    parts = [
        f"#### {record['machine']}, {record['date']}",
        f"Commit {record['commit']}, {', '.join(with_what)}.",
    ]
    for measurement in record["measurements"]:
        conditions = f": {measurement['conditions']}" if measurement["conditions"] else ""
        parts.append(f"`{measurement['command']}`{conditions}")
        if measurement["results"]:
            parts.append(table(measurement["results"]))
        if "failed" in measurement:
            parts.append(f"**Failed.** {measurement['failed']}")
    return "\n\n".join(parts)


def table(rows: list[Row]) -> str:
    """The rows as Markdown; a column for each key."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[name.replace("_", " ") for name in names], ["---"] * len(names)]
    lines += [[shown(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
