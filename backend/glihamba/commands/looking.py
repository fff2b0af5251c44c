"""What `glihamba evaluate` does with composites whose true colours nobody knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from glihamba.commands.common import bar, print_json
from glihamba.commands.scoring import networks_of, pictures_of, print_scores
from glihamba.commands.training import counting, training_module
from glihamba.errors import BadRequest


def print_changes(
    data: Path,
    models: tuple[str, ...],
    device: str | None,
    count: int,
    report: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Print how far each model changes the first `count` composites; write the page and the CSV."""
    looking = training_module("report.without_truth")
    networks, pictures = networks_of(models, device), pictures_of(data, (), count)
    if not pictures:
        raise BadRequest(f"{data} holds no composites: put NAME.jpg into composite, and NAME.png into mask.")
    with bar(not as_json, lines=True) as shown:
        changes, page = looking.look(pictures, networks, data.name, counting(shown, "Harmonizing"))
    if csv_file:
        looking.write_csv(changes, csv_file)
    if report:
        training_module("report.page").write(page, report)
    if as_json:
        print_json({"changes": [asdict(change) for change in changes]})
        return
    print_scores(looking.table(changes))
    for path in (report, csv_file):
        if path:
            click.echo(f"Written: {path}")
