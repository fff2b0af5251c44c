"""`glihamba models push` and `pull`: models in Hugging Face repositories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from glihamba.commands.common import NeedsExtra, json_option, print_json, say


@click.command()
@click.argument("name")
@click.argument("repository", metavar="USER/REPOSITORY")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@json_option
def push(name: str, repository: str, private: bool, as_json: bool) -> None:
    """Upload model NAME to a Hugging Face repository, which is created if there is none.

    The weights go with their record: network, licence, training data, figures. A card is added where there is
    none. Log in with `hf auth login`, or set HF_TOKEN. Needs the extra hub.

    \b
      glihamba models push my-hdnet somebody/my-hdnet
    """
    from glihamba.models import hub, registry

    record = registry.get(name)
    with _library(quiet=as_json):
        address = hub.push(record, repository, private=private)
    print_json({"name": record.name, "address": address}) if as_json else say(
        f"“{record.name}” is at {address}"
    )


@click.command()
@click.argument("repository", metavar="USER/REPOSITORY")
@click.option("--file", help="The .safetensors file, if the repository has several.")
@click.option("--revision", help="Branch, tag or commit.  [default: main]")
@click.option("--name", help="The model's name here.  [default: what the file says]")
@json_option
def pull(repository: str, file: str | None, revision: str | None, name: str | None, as_json: bool) -> None:
    """Download a model from a Hugging Face repository and add it. The file is checked first.

    Needs the extra hub.

    \b
      glihamba models pull somebody/my-hdnet
    """
    from glihamba.models import hub

    with _library(quiet=as_json):
        record = hub.pull(repository, file=file, revision=revision, name=name)
    if as_json:
        print_json({"name": record.name, "licence": record.licence})
    else:
        say(f"Added “{record.name}”. Use it with: glihamba harmonize --model {record.name}")


@contextmanager
def _library(*, quiet: bool) -> Iterator[None]:
    """The library, with its progress bars unless `quiet`. Raises NeedsExtra where it is missing."""
    try:
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ModuleNotFoundError as error:
        raise NeedsExtra(error, "hub") from None
    if quiet:
        disable_progress_bars()
    yield
