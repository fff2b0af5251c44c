"""`glihamba doctor`: check the installation and say how to repair it."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import json_option, print_json, say, serve_command
from glihamba_proto.endpoint import Endpoint

PACKAGES = ("torch", "numpy", "numba", "grpc", "grpclib", "pyvips", "safetensors", "PIL")
HEALTH_LIMIT = 60.0  # seconds; a busy machine is slow
LEAST_SPACE = 1 << 30  # bytes; room for weights, logs and temporary files


@dataclass(frozen=True)
class Check:
    """One line of the report. `detail` says what was found, and what to do if `ok` is False."""

    name: str
    ok: bool
    detail: str


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check Python, libraries, device, folders, weights and daemon, and harmonize a small picture.

    Starts the daemon if none runs. Exit status 0 if all is well, 1 if something is not.
    """
    found: list[Check] = []
    for check in checks():
        found.append(check)
        if not as_json:
            click.secho("ok      " if check.ok else "problem ", nl=False, fg="green" if check.ok else "red")
            say(f"{check.name}: {check.detail}")
    if as_json:
        print_json({"ok": all(check.ok for check in found), "checks": [asdict(check) for check in found]})
    return 0 if all(check.ok for check in found) else 1


def checks() -> Iterator[Check]:
    """Yield the checks in order. A check that raises becomes a problem, and the next one runs."""
    for name, look in _CHECKS:
        try:
            outcome = look()
            yield from ([outcome] if isinstance(outcome, Check) else outcome)  # several come one by one
        except Exception as error:
            from glihamba.cli import sentence

            yield Check(name, False, sentence(error))


def _python() -> Check:
    version = platform.python_version()
    well = (3, 10) <= sys.version_info[:2] < (3, 14)
    detail = f"{version} on {platform.platform()}"
    return Check(
        "Python", well, detail if well else f"{detail}; 3.10 to 3.13 are supported: run install.py again"
    )


def _libraries() -> Check:
    import importlib

    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.import_module(name).__version__}")
        except Exception as error:
            missing.append(f"{name} ({error})")
    if missing:
        return Check("Libraries", False, f"cannot be loaded: {', '.join(missing)}: run install.py again")
    return Check("Libraries", True, ", ".join(versions))


def _settings() -> Check:
    from glihamba import settings as table

    settings = table.in_force()
    changed = [each.variable for each in table.describe(settings) if _is_set(each.variable)]
    return Check(
        "Settings",
        True,
        f"from the environment: {', '.join(changed)}" if changed else "all at their defaults",
    )


def _is_set(variable: str) -> bool:
    import os

    return bool(os.environ.get(variable, "").strip())


def _device() -> Check:
    from glihamba import settings as table
    from glihamba.engine.device import choose_device
    from glihamba_proto import messages

    settings = table.in_force()
    device = choose_device(settings.device, settings.threads)
    notice = messages.sentence(device.notice, "en") if device.notice else ""
    well = not device.notice or settings.device != "cuda"
    return Check("Device", well, f"{device.name} ({device.kind}). {notice}".strip())


def _folder() -> Check:
    from glihamba import settings as table

    folder = table.in_force().data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"glihamba")
    except OSError as error:
        return Check(
            "Data folder", False, f"{folder} cannot be written ({error.strerror}): correct its permissions"
        )
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    return Check(
        "Data folder", free >= LEAST_SPACE, detail if free >= LEAST_SPACE else f"{detail}: make some room"
    )


def _weights() -> Iterator[Check]:
    from glihamba.errors import HarmonizeError
    from glihamba.models import registry, store

    for record in registry.records():
        if not record.has_weights:
            yield Check(f"Model {record.name}", True, "needs no weights")
        elif not registry.is_installed(record):
            detail = f"not installed: {registry.how_to_install(record)}"
            yield Check(f"Model {record.name}", bool(record.url), detail)
        else:
            try:
                store.open_weights(record)
                yield Check(f"Model {record.name}", True, f"{record.bytes / 1e6:.1f} MB, SHA-256 as recorded")
            except HarmonizeError as error:
                yield Check(f"Model {record.name}", False, str(error))


def _daemon() -> Check:
    from glihamba_client.client import Client, call
    from glihamba_client.service import DaemonService

    async def look() -> Any:
        found = await DaemonService(command=serve_command()).connect()
        return found, await Client(found).info(timeout=60)

    endpoint, info = call(look)
    if not _is_serving(endpoint):
        return Check("Daemon", False, f"at {endpoint} does not serve: run `glihamba stop` and try again")
    detail = f"version {info.version} answers at {endpoint}, process {endpoint.pid}. {info.notice}".strip()
    return Check("Daemon", True, detail)


def _is_serving(endpoint: Endpoint) -> bool:
    """Return True if the daemon answers SERVING to the standard health check of gRPC."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    token = ("authorization", f"Bearer {endpoint.token}")
    with grpc.insecure_channel(str(endpoint)) as channel:
        stub, question = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
        try:
            answer = stub.Check(question, metadata=(token,), timeout=HEALTH_LIMIT)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _picture() -> Check:
    import numpy as np

    from glihamba import demo, image_files
    from glihamba.file_host import FileHost, read_mask
    from glihamba_client.harmonize_layer import harmonize_layer, run
    from glihamba_client.service import DaemonService

    with tempfile.TemporaryDirectory(prefix="glihamba-doctor-") as folder:
        output = Path(folder) / "harmonized.png"
        host = FileHost(demo.COMPOSITE, demo.MASK, output)
        begun = time.perf_counter()
        run(harmonize_layer(host, DaemonService(command=serve_command())))
        seconds = time.perf_counter() - begun
        before, after = image_files.read(demo.COMPOSITE).pixels, image_files.read(output).pixels
    touched = read_mask(demo.MASK) > 0
    assert host.harmonized is not None
    made = f"harmonized by {host.harmonized.model} on {host.harmonized.device} in {seconds:.1f} s"
    if not np.array_equal(before[~touched], after[~touched]):
        return Check(
            "Test picture", False, f"{made}, but pixels outside the mask changed: please report this"
        )
    if np.array_equal(before[touched], after[touched]):
        return Check("Test picture", False, f"{made}, but the object did not change: please report this")
    return Check("Test picture", True, made)


_CHECKS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("Python", _python),
    ("Libraries", _libraries),
    ("Settings", _settings),
    ("Device", _device),
    ("Data folder", _folder),
    ("Models", _weights),
    ("Daemon", _daemon),
    ("Test picture", _picture),
)
