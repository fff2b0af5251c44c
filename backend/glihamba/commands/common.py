"""Options and output that several commands share."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from glihamba.errors import BadRequest, HarmonizeError
from glihamba_proto import interpreter
from glihamba_proto.messages import printable

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where the network runs.  [default: auto; environment: GLIHAMBA_DEVICE]",
)


class NeedsExtra(HarmonizeError):
    """A library of one of the extras in pyproject.toml is not installed."""

    def __init__(self, missing: ModuleNotFoundError, extra: str) -> None:
        super().__init__(
            f"This needs {missing.name}, which is not installed: pip install 'glihamba[{extra}]'"
        )


def serve_command(device: str | None = None) -> list[str]:
    """Return the command that starts the daemon of this installation."""
    return interpreter.module(sys.executable, "glihamba", "serve", *(["--device", device] if device else []))


def print_json(value: Any) -> None:
    """Print a value as JSON. Values that JSON does not know, such as paths, become text."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(words: str, *, err: bool = False) -> None:
    """Print words that may quote a file's name or content, which must not reach the terminal as commands."""
    click.echo(printable(words), err=err)


def print_table(columns: list[str], rows: list[list[str]], title: str = "") -> None:
    """Print a table. A column whose name begins with ">" is aligned to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*(printable(cell).replace("[", r"\[") for cell in row))
    # A pipe has no width, so lines are not wrapped.
    width = None if sys.stdout.isatty() else 1000
    console = Console(highlight=False, width=width)
    console.print(table, soft_wrap=width is not None)


def refuse_unwritable(*paths: Path | None) -> None:
    """Raise BadRequest for a file whose folder is missing, before the work that would be lost."""
    for path in paths:
        if path and not path.parent.is_dir():
            raise BadRequest(f"{path} cannot be written: make the folder {path.parent} first.")


LINES_APART = 20.0  # seconds between the lines of progress that a file gets


class Bar:
    """Progress bars on standard error. If that is not a terminal, nothing is drawn, or lines are printed."""

    def __init__(self, progress: Any = None, lines: bool = False) -> None:
        self._progress, self._lines = progress, lines
        self._tasks: dict[str, Any] = {}
        self._said = time.monotonic()

    def show(self, name: str, text: str, done: float, total: float = 1.0) -> None:
        """Draw the bar called `name`, with its text and `done` of `total`."""
        if self._progress is None:
            if self._lines and time.monotonic() - self._said >= LINES_APART:
                self._said = time.monotonic()
                click.echo(text, err=True)
            return
        text = printable(text)
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(text, total=total)
        self._progress.update(self._tasks[name], description=text, completed=done, total=total)

    def show_job(self, progress: Any) -> None:
        """Draw a job's `Progress`."""
        from glihamba_client.texts import stage

        self.show("job", stage(progress, "en"), progress.fraction)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._progress is None:
            say(text, err=True)
        else:
            self._progress.console.print(printable(text), markup=False, highlight=False)


@contextmanager
def bar(wanted: bool = True, lines: bool = False) -> Iterator[Bar]:
    """Yield a Bar whose bars disappear at the end. `wanted`: False draws nothing.

    `lines`: print a line every LINES_APART seconds where a bar cannot be drawn, as in a file or a job's log.
    """
    if not wanted or not sys.stderr.isatty():
        yield Bar(lines=wanted and lines)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress)
