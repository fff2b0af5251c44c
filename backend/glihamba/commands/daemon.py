"""`glihamba serve`, `status`, `stop` and `restart`."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import device_option, json_option, print_json, serve_command

STOP_LIMIT = 20.0  # seconds in which a daemon must tell its jobs and end
RENEWED = 3.0  # seconds in which a daemon notices that its endpoint file is gone
BY_ITSELF = "auto"


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine's own needs TLS and a token.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on.  [default: any free one]"
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM file with the daemon's certificate.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file with its key.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the token clients must send.")
@device_option
@click.option(
    "--idle-exit",
    is_flag=False,
    flag_value=BY_ITSELF,
    metavar="[MINUTES]",
    help="End after idle minutes, as the editors ask for. Without a number: GLIHAMBA_EXIT_MINUTES.",
)
def serve(idle_exit: str | None, device: str | None, **options: Any) -> None:
    """Run the daemon in the foreground until Ctrl-C or `glihamba stop`.

    Editors and `glihamba harmonize` start one by themselves when none runs; there is one for each
    person and machine. To serve a studio's other machines, give a certificate and a token:

    \b
      glihamba serve --host 0.0.0.0 --port 50051 --tls-cert box.pem --tls-key box.key --token-file token
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC reads it when it is imported
    from glihamba import settings as table
    from glihamba.daemon import renewal, server
    from glihamba_proto import messages
    from glihamba_proto.errors import Failure

    try:
        settings = table.in_force(device=device)
        minutes = None
        if idle_exit is not None:
            minutes = settings.exit_minutes if idle_exit == BY_ITSELF else _minutes(idle_exit)
        next_process = server.serve(
            **options,
            idle_exit_minutes=minutes,
            settings=settings,
            announce=_announce,
            before=renewal.taken(),
        )
    except Failure as error:
        if idle_exit == BY_ITSELF:  # an editor started it, perhaps in another language
            click.echo(messages.line_of(error.note), err=True)
        raise
    if next_process is not None:
        renewal.replace_process(next_process)


def _announce(line: str) -> None:
    click.echo(line)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes <= 1e6:
        raise click.BadParameter(f"{text!r} is not a number of minutes.", param_hint="--idle-exit")
    return minutes


@click.command()
@json_option
def status(as_json: bool) -> int:
    """Say whether a daemon runs, where its network runs, and what it is doing.

    Exit status 0 if one answers, 1 if none does.
    """
    found = _running()
    if found is None:
        _say_hung()
        print_json({"running": False}) if as_json else click.echo(
            "No daemon is running; one is started when needed."
        )
        return 1
    endpoint, info = found
    if as_json:
        public = {
            name: value
            for name, value in asdict(endpoint).items()
            if name in ("host", "port", "pid", "instance")
        }
        device = {"kind": info.device.kind, "name": info.device.name}
        print_json(
            {
                "running": True,
                **public,
                "version": info.version,
                "device": device,
                "default_model": info.default_model,
                "jobs_waiting": info.jobs_waiting,
                "job_running": info.job_running,
                "notice": info.notice,
            }
        )
        return 0
    click.echo(f"A daemon (version {info.version}) answers at {endpoint}, process {endpoint.pid}.")
    click.echo(f"Device: {info.device.name or info.device.kind}. Default model: {info.default_model}.")
    click.echo(f"Jobs: {'one running' if info.job_running else 'none running'}, {info.jobs_waiting} waiting.")
    if info.notice:
        click.echo(f"Note: {info.notice}")
    return 0


@click.command()
@json_option
def stop(as_json: bool) -> int:
    """End the running daemon. It tells its jobs and its clients first."""
    found = _running() or _reappeared()
    if found is None:
        _say_hung()
        print_json({"stopped": False}) if as_json else click.echo("No daemon is running.")
        return 0
    endpoint, _ = found
    end(endpoint)
    print_json({"stopped": True, "pid": endpoint.pid}) if as_json else click.echo("The daemon has ended.")
    return 0


@click.command()
@device_option
@click.option("--yes", is_flag=True, help="End a daemon that does not answer without asking.")
@json_option
def restart(device: str | None, yes: bool, as_json: bool) -> int:
    """End the daemon, also one that does not answer, and start a new one."""
    from glihamba_client import launcher
    from glihamba_client.client import call

    found = _running()
    if found is not None:
        end(found[0])
    elif _holds_lock():
        _kill_frozen(yes)
    new = call(lambda: launcher.connect(serve_command(device)))
    print_json({"pid": new.pid}) if as_json else click.echo(f"A new daemon runs, process {new.pid}.")
    return 0


def _kill_frozen(yes: bool) -> None:
    """End the process that holds the lock and does not answer, if the person agrees. Raises ClientError."""
    process = _process()
    if not process:
        _say_hung()
        return
    if not yes:
        click.confirm(f"Process {process} does not answer. What it computes is lost. End it?", abort=True)
    # Windows has one signal that ends a process at once, under another's name.
    os.kill(process, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    _await_end(process)


def end(endpoint: Any) -> None:
    """Ask the daemon to end, and wait for it. Raises ClientError if that takes longer than STOP_LIMIT."""
    from glihamba_client.client import Client, call
    from glihamba_client.errors import ClientError

    try:
        call(Client(endpoint).shutdown)
    except ClientError as error:
        if error.code not in ("NO_ANSWER", "DAEMON_LOST"):  # in these cases it is ending already
            raise
    _await_end(endpoint.pid)


def _await_end(process: int) -> None:
    """Wait until the lock is free. Raises ClientError if that takes longer than STOP_LIMIT."""
    from glihamba_client.errors import ClientError

    deadline = time.monotonic() + STOP_LIMIT
    while _holds_lock():
        if time.monotonic() > deadline:
            raise ClientError(
                "INTERNAL", f"The daemon was told to end but still runs: end process {process} by hand."
            )
        time.sleep(0.1)


def _running() -> Any:
    """Return (endpoint, ServerInfo) of the daemon if one answers, else None. Raises ClientError."""
    from glihamba_client import launcher
    from glihamba_client.client import Client, call

    async def look() -> Any:
        found = await launcher.running()
        return (found, await Client(found).info()) if found else None

    return call(look)


def _reappeared() -> Any:
    """What `_running` returns of a daemon whose endpoint file was deleted: it writes another soon."""
    deadline = time.monotonic() + RENEWED
    while _holds_lock() and time.monotonic() < deadline:
        time.sleep(0.2)
        if found := _running():
            return found
    return None


def _process() -> int:
    """The process that holds the lock, by its endpoint file or its own note; 0 if nothing says so."""
    from glihamba import settings as table
    from glihamba_proto import endpoint

    settings = table.in_force()
    if found := endpoint.read(settings.endpoint_file):
        return found.pid
    try:
        return int(settings.process_file.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _holds_lock() -> bool:
    """Return True if a daemon process runs, whether it answers or not."""
    from filelock import FileLock, Timeout

    from glihamba import settings as table

    lock = table.in_force().lock_file
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _say_hung() -> None:
    from glihamba_client.errors import ClientError

    if not _holds_lock():
        return
    if process := _process():
        raise ClientError("DAEMON_FROZEN", process=process)
    raise ClientError("NO_ANSWER", "A daemon is starting or ending: try again in a few seconds.")
