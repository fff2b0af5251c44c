"""`glihamba models`: list, add and remove the models of the registry and the store."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from glihamba.commands import hub
from glihamba.commands.common import (
    NeedsExtra,
    bar,
    json_option,
    print_json,
    print_table,
    refuse_unwritable,
    say,
)
from glihamba_proto.files import replacing


@click.group()
def models() -> None:
    """List, describe, add, download and remove models.

    A model is a safetensors file with a record of its origin, licence, training data and quality. Models
    are in the package and in the folder models of your data folder.
    """


models.add_command(hub.push)
models.add_command(hub.pull)


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all known models. The default one is marked with *."""
    from glihamba.models import registry

    default, records = default_model(), registry.records()
    if as_json:
        print_json([_described(record, default) for record in records])
        return
    rows = [
        [
            "*" if record.name == default else "",
            record.name,
            record.title,
            _size(record),
            _installed(record),
            record.licence.partition(": ")[0],  # the reasons, after it, are in `models info`
        ]
        for record in records
    ]
    print_table(["", "Name", "Title", ">Size", "Installed", "Licence"], rows)


@models.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--architecture", required=True, help="The network of the weights, such as hdnet.")
@click.option("--name", required=True, help="The model's name: lower case letters, digits, . _ and -")
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write to."
)
@click.option("--licence", default="", help="Licence of the weights.  [default: not stated]")
@json_option
def convert(file: Path, architecture: str, name: str, folder: Path, licence: str, as_json: bool) -> None:
    """Turn FILE, a paper's public weights (.pth), into a model file that `glihamba models add` takes.

    The file is read in PyTorch's weights-only mode, so that it cannot run a program. Networks whose public
    weights can be read: hdnet, hdnet-lite.

    \b
      glihamba models convert hdnet.pth --architecture hdnet --name hdnet-public -o weights/
      glihamba models add weights/hdnet-public.safetensors
    """
    from glihamba.models import published

    record = published.convert(file, folder, name=name, architecture=architecture, licence=licence)
    if as_json:
        print_json(asdict(record))
    else:
        click.echo(f"Written: {folder / name}.safetensors ({record.bytes / 1e6:.1f} MB) and its record.")


@models.command()
@click.argument("name")
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The .onnx file."
)
@click.option(
    "--side",
    type=click.IntRange(16, 4096),
    help="Pixels a side of its pictures.  [default: the network's own]",
)
@json_option
def onnx(name: str, output: Path, side: int | None, as_json: bool) -> None:
    """Write model NAME as an ONNX file (opset 20), and check it with onnxruntime.

    The file takes composite (1,3,S,S) and mask (1,1,S,S) in [0,1], and gives harmonized (1,3,S,S). Needs the
    extra onnx. A network that ONNX cannot express is refused.

    \b
      glihamba models onnx my-hdnet -o my-hdnet.onnx
    """
    from glihamba.models import load
    from glihamba.networks.onnx_export import OPSET, as_onnx

    refuse_unwritable(output)
    try:
        data, apart = as_onnx(load(name), side)
    except ModuleNotFoundError as error:
        raise NeedsExtra(error, "onnx") from None
    with replacing(output) as part:
        part.write_bytes(data)
    if as_json:
        print_json({"onnx": str(output), "opset": OPSET, "apart": apart})
    else:
        click.echo(f"Written: {output}, opset {OPSET}. onnxruntime agrees to {apart:.1g}.")


@models.command()
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Describe one model: architecture, licence, training data, measured quality."""
    from glihamba.models import registry

    record = registry.get(name)
    if as_json:
        print_json(_described(record, default_model()))
        return
    say(f"{record.title} ({record.name})\n{record.description}\n")
    lines = {
        "Architecture": f"{record.architecture} {json.dumps(dict(record.config)) if record.config else ''}",
        "Licence": record.licence,
        "Trained on": record.training_data,
        "Paper": record.paper,
        "Weights": f"{_size(record)}, {record.source_text}" if record.has_weights else "none needed",
        "SHA-256": record.sha256,
        "Installed": _installed(record),
    }
    for label, text in lines.items():
        if text.strip():
            say(f"{label + ':':14}{text.strip()}")
    for protocol, figures in record.metrics.items():
        say(f"{'Measured:':14}{protocol}: " + ", ".join(f"{key} {value:g}" for key, value in figures.items()))


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The model's name.  [default: what the file says, else the file's name]")
@click.option("--architecture", help="The network of the weights, if the file does not say.")
@click.option("--config", help="The network's configuration as JSON, if the file does not say.")
@json_option
def add(file: Path, name: str | None, architecture: str | None, config: str | None, as_json: bool) -> None:
    """Add a model from a safetensors FILE. The file is checked, then copied."""
    from glihamba.models import store

    record = store.add(file, name=name, architecture=architecture, config=_table(config))
    if as_json:
        print_json(_described(record, default_model()))
    else:
        say(f"Added “{record.name}”. Use it with: glihamba harmonize --model {record.name}")


@models.command()
@click.argument("name")
@json_option
def download(name: str, as_json: bool) -> None:
    """Download the weights of model NAME. An interrupted download is continued."""
    from glihamba.models import registry, store

    record = registry.get(name)
    given_up = threading.Event()
    with bar(not as_json) as shown:
        try:
            path = store.download(
                record,
                progress=lambda done, total: shown.show(
                    "download", f"Downloading {record.name}", done, total
                ),
                cancelled=given_up.is_set,
            )
        finally:
            given_up.set()
    print_json({"name": record.name, "path": str(path)}) if as_json else say(f"“{record.name}” is installed.")


@models.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove an added model, or the downloaded weights of one that is listed anyway."""
    from glihamba.models import store

    record = store.remove(name)
    print_json({"removed": record.name}) if as_json else say(f"“{record.name}” is removed.")


def default_model() -> str:
    """Return the name of the model that runs if none is named."""
    from glihamba import settings as table
    from glihamba.models import registry

    return table.in_force().default_model or registry.DEFAULT


def _described(record: Any, default: str) -> dict[str, Any]:
    from glihamba.models import registry

    installed = registry.is_installed(record)
    return {**asdict(record), "installed": installed, "default": record.name == default}


def _installed(record: Any) -> str:
    from glihamba.models import registry

    return "yes" if registry.is_installed(record) else f"no: {registry.how_to_install(record)}"


def _size(record: Any) -> str:
    return f"{record.bytes / 1e6:.1f} MB" if record.bytes else "-"


def _table(config: str | None) -> dict[str, Any] | None:
    if config is None:
        return None
    from glihamba_proto import documents

    try:
        table = documents.loads(config)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise click.BadParameter("It must be a JSON object, e.g. '{\"width\": 32}'.", param_hint="--config")
    return table
