"""The command line of install.py."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from installer import editors, machine, models, sharing
from installer.console import CommandFailed, Console, InstallError, clean_environment
from installer.layout import Root, default_root
from installer.steps import Installation, Options, checkout_hash, stop_daemon
from installer.testing import DEFAULT_ROOT, TestEnvironment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run install.py.

    Returns the exit status: 0 for success, 1 after a failure, 130 after Ctrl-C. A wrong command line exits
    with status 2.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # it is closed, or not a file
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    options = _parser().parse_args(arguments)
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _interrupted)
    try:
        return int(options.run(options))
    except InstallError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except CommandFailed as error:
        last = error.tail.strip().splitlines()
        print(f"\n{error}" + (f": {last[-1]}" if last else "."), file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"\n{error.filename} cannot be written: close what uses it, or change its permissions.",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:  # whoever read what we print is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        if os.environ.get("GLIHAMBA_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        print(f"\n{what}. Run install.py again; if it happens again, report it.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What was installed before still works. Run install.py again to continue.",
            file=sys.stderr,
        )
        return 130


def install(options: argparse.Namespace) -> int:
    """Install, update or repair. Returns the exit status. Raises InstallError."""
    root = Root(options.prefix or default_root())
    chosen = _options(options)
    console = Console(root.log, 8, verbose=options.verbose, dry=options.dry_run)
    print(
        f"Installing GLIHamba into {root.path}" + (" (dry run: nothing is done)" if options.dry_run else "")
    )
    installation = Installation(root, chosen, console)
    if not installation.repair():
        installation.run()
    if options.dry_run:
        return 0
    print(f"\n{installation.result}\nThe command is {root.launcher}")
    for use in dict.fromkeys(editors.of(entry).use for entry in installation.plugins):
        print(use)
    print(models.uses())
    if not root.is_default:
        print(f"For the editors to find it there, set GLIHAMBA_DATA_DIR={root.path}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Print what is installed, then run `glihamba doctor`. Returns the exit status."""
    root = Root(options.prefix or default_root())
    state = root.load()
    print(f"Folder      {root.path}")
    print(f"Machine     {machine.describe('cuda' if machine.has_nvidia() else 'cpu')}")
    if state.building:
        print("Unfinished  an installation was interrupted: run install.py again to finish it")
    current = state.current
    if not current:
        print("Installed   nothing: run install.py")
        return 1
    if not root.is_whole(current["env"]):
        is_there = root.command(current["env"]).exists()
        lost = "the Python that it was made with" if is_there else "its environment"
        print(f"Installed   damaged, {lost} is gone: run install.py again")
        return 1
    print(f"Installed   {current['version']} on {current['installed']}, torch {current['torch']}")
    if current.get("checkout") != checkout_hash():
        print("Checkout    differs from what is installed: run install.py to bring it up to date")
    for editor in map(editors.of, current.get("plugins", [])):
        found = editor.folder if editor.has_plugin else "the plugin is gone: run install.py again"
        print(f"{editor.kind:<11} {found}")
    print(f"Disk        {shutil.disk_usage(root.path).free / 1e9:.0f} GB free\n", flush=True)
    command = [str(root.command(current["env"])), "doctor"]
    return subprocess.call(command, env=clean_environment({"GLIHAMBA_DATA_DIR": str(root.path)}))


def uninstall(options: argparse.Namespace) -> int:
    """Remove the program and its plugins, and the data with --purge. Raises InstallError."""
    root = Root(options.prefix or default_root())
    what = "GLIHamba, its models and its logs" if options.purge else "GLIHamba (models and logs stay)"
    if not root.path.is_dir() or not any(root.path.iterdir()):
        print(f"Nothing is installed in {root.path}.")
        return 0
    if not (root.state_file.exists() or (root.is_default and not root.foreign())):
        raise InstallError(f"{root.path} is not an installation of GLIHamba. Nothing was deleted.")
    print(f"Removing {what} from {root.path}")
    if options.dry_run:
        return 0
    with root.locked():
        if current := root.load().current:
            stop_daemon(root, current["env"], Console(None, 0))
            for editor in map(editors.of, current.get("plugins", [])):
                if others := sharing.release(editor, root):
                    users = ", ".join(map(str, others))
                    print(f"Left in {editor.kind}: the plugin, which the installation in {users} uses")
        root.remove(purge=options.purge)
    if left := root.vanish():
        print(f"Left in {root.path}: {', '.join(left)}")
    return 0


def test(options: argparse.Namespace) -> int:
    """Make the test environment if needed, and run the tests. Returns the exit status of pytest."""
    root = Root(options.prefix or DEFAULT_ROOT)
    console = Console(root.log, 4, verbose=options.verbose, dry=options.dry_run)
    environment = TestEnvironment(root, _options(options), console)
    if not environment.is_ready():
        environment.run()
    return environment.run_tests(options.pytest, options.tier)


def _options(options: argparse.Namespace) -> Options:
    device = options.device
    if device == "auto":
        device = "cuda" if machine.has_nvidia() and sys.platform != "darwin" else "cpu"
    elif device == "cuda" and sys.platform == "darwin":
        raise InstallError("There is no CUDA on macOS: leave out --device, or use --device cpu.")
    if options.wheels and not options.wheels.is_dir():
        raise InstallError(f"There is no folder {options.wheels}: name the folder of the wheels.")
    return Options(device, options.offline, options.wheels and options.wheels.absolute())


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before or after the command.

    Each parser gets its own copy, because set_defaults changes the options of a shared parent. The defaults
    of a command would then undo options that stand before it.
    """
    common = argparse.ArgumentParser(add_help=False)
    add = functools.partial(common.add_argument, default=argparse.SUPPRESS)
    add("--prefix", type=Path, metavar="FOLDER", help="install into this folder")
    add("--device", choices=("auto", "cpu", "cuda"), help="device that networks will run on")
    add("--offline", action="store_true", help="take packages from this machine only")
    add("--wheels", type=Path, metavar="FOLDER", help="look for packages in this folder too")
    add("--dry-run", action="store_true", help="say what would be done")
    add("--verbose", action="store_true", help="show the output of pip")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.py",
        parents=[_common()],
        description="Install GLIHamba into your data folder, touching nothing else, and try it on a picture.",
    )
    parser.set_defaults(
        run=install, prefix=None, device="auto", offline=False, wheels=None, dry_run=False, verbose=False
    )
    commands = parser.add_subparsers(title="commands", metavar="")
    for name, run, text in (
        ("install", install, "install, update or repair (what happens without a command)"),
        ("doctor", doctor, "say what is installed and whether it works"),
        ("uninstall", uninstall, "remove it; --purge removes models and logs too"),
        ("test", test, "make the test environment and run the tests"),
    ):
        command = commands.add_parser(
            name, parents=[_common()], help=text, description=text.capitalize() + "."
        )
        command.set_defaults(run=run)
        if name == "uninstall":
            command.add_argument("--purge", action="store_true", help="remove downloaded models and logs too")
        if name == "test":
            tier = command.add_mutually_exclusive_group()
            for option, text in (
                ("--fast", "run only the tests that together take a minute, and count the others"),
                ("--thorough", "run also the editors' benchmarks and the scores of every picture"),
            ):
                tier.add_argument(
                    option, dest="tier", action="store_const", const=[option], default=[], help=text
                )
            command.add_argument("pytest", nargs="*", metavar="-- ARGUMENT", help="for pytest, after --")
    return parser


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
