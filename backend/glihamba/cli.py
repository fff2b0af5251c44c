"""The command line `glihamba`: find the command, call it, and report a failure in one sentence.

Heavy libraries are imported only by the command that needs them, so that `glihamba --help` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from typing import Any, NoReturn

import click

from glihamba import __version__, ctrl_c
from glihamba.errors import OutOfMemory, is_out_of_memory
from glihamba_proto.errors import Failure
from glihamba_proto.messages import printable

# name -> (module in glihamba.commands, help text). `glihamba --help` lists them in this order.
COMMANDS = {
    "harmonize": ("harmonize", "Recolour pasted objects to fit their scene: a picture, or a folder of them."),
    "apply": ("apply", "Recolour the object in every frame of a shot by a look-up table."),
    "models": ("models", "List, describe, add, download and remove models."),
    "serve": ("daemon", "Run the daemon that the editors and this command use."),
    "status": ("daemon", "Say whether a daemon runs, and on what."),
    "stop": ("daemon", "End the running daemon."),
    "restart": ("daemon", "End the daemon, also one that does not answer, and start a new one."),
    "doctor": ("doctor", "Check the installation and harmonize a small picture."),
    "report": ("report", "Collect what a bug report needs, without names and secrets."),
    "settings": ("settings", "Show all settings and the environment variables that change them."),
    "bench": ("bench", "Measure speed and memory on this machine."),
    "data": ("data", "Check training pictures, or look at what a model is fed."),
    "train": ("training", "Train a model on photographs."),
    "evaluate": ("evaluation", "Score models, or any method's results, under named protocols."),
    "compare": ("evaluation", "Score two methods side by side."),
    "figure": ("figures", "Write a comparison picture of several models."),
    "preference": ("figures", "Ask people which model's pictures look more real."),
    "reproduce": ("reproduce", "Train a paper's ablation, and print its table beside ours."),
    "export": ("training", "Turn a checkpoint into a model file with its record."),
}


class LazyGroup(click.Group):
    """A group whose commands are named in COMMANDS and imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"glihamba.commands.{COMMANDS[name][0]}")
        command = getattr(module, name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="glihamba")
def cli() -> None:
    """Harmonize a pasted object with its scene, at full resolution, on your own machine.

    \b
      glihamba harmonize composite.png --mask mask.png -o harmonized.png

    Every setting has an environment variable (see: glihamba settings). Exit status: 0 done, 1 failed,
    2 wrongly called, 130 interrupted. GLIHAMBA_DEBUG=1 shows the traceback of a failure.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit status."""
    escape_what_cannot_be_printed()
    ctrl_c.listen()
    try:
        result = cli.main(arguments, prog_name="glihamba", standalone_mode=False)
        status = result if isinstance(result, int) else 0
    except Exception as error:
        if os.environ.get("GLIHAMBA_DEBUG"):
            raise
        status = complain(click.Abort() if ctrl_c.pressed() else error)
    except KeyboardInterrupt:
        ctrl_c.ignore()
        status = complain(click.Abort())
    leave(status)


def escape_what_cannot_be_printed() -> None:
    """Have names and sentences that the terminal's encoding lacks printed as escapes.

    Otherwise a picture that is written already would end in an error.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, ValueError, OSError
        ):  # the stream is missing, closed or not a file
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def leave(status: int) -> NoReturn:
    """End the process with the exit status.

    Ctrl-C changes nothing any more. The process ends at once if one of our threads still works on an
    abandoned job. Otherwise the interpreter would shut down while the thread runs, and torch would abort the
    process.
    """
    ctrl_c.ignore()
    if any(thread.daemon and thread.name.startswith("glihamba") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # the stream is closed or missing
                stream.flush()
        os._exit(status)
    sys.exit(status)


def complain(error: Exception) -> int:
    """Print the failure on standard error. Returns the exit status."""
    if isinstance(error, click.exceptions.Abort):
        click.echo("Interrupted; nothing was left half done.", err=True)
        return 130
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        # The reader of our output is gone. Without this the interpreter would raise again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    click.echo(f"Error: {sentence(error)}", err=True)
    return int(getattr(error, "exit_code", 1))


def sentence(error: Any) -> str:
    """Return one sentence that tells a person what went wrong, for any exception."""
    if isinstance(error, Failure):
        return printable(str(error))
    if is_out_of_memory(error):
        return str(OutOfMemory())
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    words = printable(what)
    return f"Something unexpected went wrong ({words}). Set GLIHAMBA_DEBUG=1 to see where, and report it."
