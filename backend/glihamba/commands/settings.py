"""`glihamba settings`: print the table of settings."""

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

    shown = table.describe(table.in_force())
    if as_json:
        print_json([setting._asdict() for setting in shown])
        return
    columns = ["Variable", "Now", "Default", "Type", "What it is"]
    print_table(columns, [[each.variable, each.value, each.default, each.type, each.help] for each in shown])
