"""`glihamba settings`: the one table."""

from __future__ import annotations

import click

from glihamba.commands.common import json_option, print_json, print_table


@click.command()
@json_option
def settings(as_json: bool) -> None:
    """Show every setting, what it is now, its default, and the environment variable that changes it.

    \b
      GLIHAMBA_DEVICE=cpu glihamba serve
    """
    from glihamba import settings as table

    rows = table.describe(table.load())
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    columns = ["Variable", "Now", "Default", "Type", "What it is"]
    print_table(columns, [[row.variable, row.value, row.default, row.type, row.help] for row in rows])
