"""`glihamba report`: what a bug report needs, without names and secrets, shown before it is written."""

from __future__ import annotations

import getpass
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click

from glihamba.commands.common import say
from glihamba.commands.doctor import PACKAGES, checks

LINES = 60  # of each log
_SECRET = re.compile(r"(?<![\w-])[\w-]{24,}(?![\w-])")
_ADDRESS = re.compile(r"(?<![\w.])(?!127\.)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
_DISTRIBUTION = {"PIL": "pillow", "grpc": "grpcio"}


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("glihamba-report.txt"),
    show_default=True,
    help="File to write.",
)
@click.option("--yes", is_flag=True, help="Write it without asking.")
def report(output: Path, yes: bool) -> int:
    """Collect versions, settings, doctor's findings and the last lines of the logs for a bug report.

    Your name, your folders, addresses and everything that may be a token are replaced. The text is shown
    first, and written only if you agree. Nothing is sent anywhere.
    """
    from glihamba.image_files import replace_file

    text = redacted("\n".join(_parts()))
    say(text)
    if not yes:
        click.confirm(f"Write this to {output}?", abort=True)
    replace_file(output, text.encode())
    say(f"Written to {output}. Read it once more before you attach it to a report.")
    return 0


def redacted(text: str) -> str:
    """The text without the person's name and home, the machine's name, addresses, and what may be a token."""
    home = str(Path.home()) if os.environ.get("HOME") else ""
    names = {home: "~", platform.node(): "MACHINE", _user(): "PERSON"}
    for name, instead in names.items():
        if len(name) > 1:
            text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", instead, text)
    return _ADDRESS.sub("ADDRESS", _SECRET.sub("…", text))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _parts() -> Iterator[str]:
    from glihamba import __version__
    from glihamba import settings as table

    yield f"GLIHamba {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield f"{os.cpu_count()} processors, {'a terminal' if sys.stdout.isatty() else 'no terminal'}"
    yield "\nLibraries"
    for name in PACKAGES:
        distribution = _DISTRIBUTION.get(name, name)
        yield f"  {distribution} {_version(distribution)}"
    yield "\nSettings that differ"
    try:
        wanted = table.in_force()
        for each in table.describe(wanted):
            if each.value != each.default and os.environ.get(each.variable):
                yield f"  {each.variable}={each.value}"
        logs: list[Path] = sorted(wanted.log_dir.glob("*.log"))
    except ValueError as error:
        yield f"  {error}"
        logs = []
    yield "\nDoctor"
    for check in checks():
        yield f"  {'ok' if check.ok else 'problem'}  {check.name}: {check.detail}"
    for path in logs:
        yield f"\nThe last lines of {path.name}"
        yield from (f"  {line}" for line in _last_lines(path))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 100_000))
            return file.read().decode("utf-8", "replace").splitlines()[-LINES:]
    except OSError as error:
        return [f"it cannot be read ({error.strerror})"]
