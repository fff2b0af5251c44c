"""Weights on disk: verified before they are parsed, downloaded with resume, added, removed, saved.

Only safetensors files are read. A pickle is recognised by its first bytes and refused unopened. A file under
its final name is always whole: it was written under another name first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from glihamba.errors import BadRequest, Cancelled, ModelDamaged, ModelNotInstalled
from glihamba.models import registry
from glihamba.models.filling import check_sizes, network_of
from glihamba.models.registry import BadRecord, Record
from glihamba_proto import documents
from glihamba_proto.files import open_regular, replacing

if TYPE_CHECKING:
    from torch import Tensor

METADATA_KEY = "glihamba"
"""Where in a safetensors header the record lies, as JSON."""

OnProgress = Callable[[int, int], None]
_BLOCK = 1 << 20
_HEADER = 8 << 20  # bytes
_PICKLE = (
    "'{name}' is a PyTorch pickle, whatever its file is called. A pickle can run any program, so it was not"
    " opened."
)


class CannotWrite(ModelNotInstalled):
    """The disk is full or read-only; what was there before is still there."""


def open_weights(record: Record) -> dict[str, Tensor]:
    """The record's tensors, on the CPU, from a file whose size and SHA-256 are the record's.

    Raises ModelNotInstalled when there is no file, ModelDamaged when it is not the record's.
    """
    import safetensors.torch
    from safetensors import SafetensorError

    path = registry.weights_path(record)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise registry.not_installed(record) from None
    if _is_pickle(data[:4]):
        raise _damaged(record, _PICKLE.format(name=record.name))
    if len(data) != record.bytes:
        kind = "cut short" if len(data) < record.bytes else "too long"
        raise _damaged(
            record, f"The weights of '{record.name}' are {kind}: {len(data):,} bytes of {record.bytes:,}."
        )
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise _damaged(
            record, f"The weights of '{record.name}' are damaged: their SHA-256 is not the record's."
        )
    try:
        return dict(safetensors.torch.load(data))
    except SafetensorError as error:
        raise _damaged(
            record, f"The weights of '{record.name}' are not a safetensors file ({error})."
        ) from None


def save(
    path: Path, state_dict: Mapping[str, Tensor], record: Record, texts: Mapping[str, str] | None = None
) -> Record:
    """Write weights with their record inside, and the record beside them as `.json`.

    `texts`: more for the file's header, by names other than METADATA_KEY. `path` is `FOLDER/NAME.safetensors`
    with the record's name. Returns the record with the file's size and hash. Both files appear whole or not
    at all.
    """
    import safetensors.torch

    if path.name != f"{record.name}.safetensors":
        raise ValueError(f"{path.name} is not the weights file of {record.name}")
    tensors = {key: value.detach().cpu().contiguous() for key, value in state_dict.items()}
    inside = replace(record, sha256="", bytes=0)
    data = safetensors.torch.save(tensors, metadata={**(texts or {}), METADATA_KEY: inside.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(data)
    complete = replace(record, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    _write_record(path.with_suffix(".json"), complete)
    return complete


def add(
    path: Path,
    *,
    name: str | None = None,
    architecture: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Record:
    """Copy a safetensors file into the store and register it; returns its record.

    The file's header describes it (see `save`); `architecture` and `config` describe one that does
    not. The network is built and filled before anything is copied, so what is listed works. Raises
    ModelDamaged for a file that does not, BadRequest for a name that is taken or no description.
    """
    record = _described(path, name, architecture, config)
    target = registry.weights_path(record)
    with _writing(target), _locked(record, lambda: False):
        if record.name in {r.name for r in registry.records()}:
            raise BadRequest(
                f"There already is a model called '{record.name}'. Add this one under another name (--name)"
                " or remove the other first."
            )
        try:
            with replacing(target) as part:
                digest, size = hashlib.sha256(), 0
                with open_regular(path) as source, part.open("wb") as copy:
                    while block := source.read(_BLOCK):
                        copy.write(block)
                        digest.update(block)
                        size += len(block)
                record = replace(record, sha256=digest.hexdigest(), bytes=size)
                network_of(record, _parsed(part, record.name)[0])
            _write_record(target.with_suffix(".json"), record)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return record


def remove(name: str) -> Record:
    """Delete an added model, or the downloaded weights of one that ships without them.

    Raises UnknownModel, or BadRequest for a model that is part of GLIHamba itself.
    """
    record = registry.get(name)
    shipped = registry.is_shipped(record.name)
    if shipped and record.url is None:
        raise BadRequest(f"'{record.name}' is part of GLIHamba and cannot be removed.")
    path = registry.weights_path(record)
    with _writing(path), _locked(record, lambda: False):
        if not shipped:
            path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        for part in path.parent.glob(f"{record.name}.*.part"):
            part.unlink(missing_ok=True)
    return record


def download(
    record: Record,
    progress: OnProgress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Fetch the record's weights, continuing where an earlier attempt stopped; returns their path.

    `progress(bytes so far, bytes in all)` is called as they arrive. Two downloads of one model at
    once are one: the second waits and finds the file. Raises ModelNotInstalled when the network or
    the disk fails (what arrived is kept), ModelDamaged when the server's file is another one,
    Cancelled, or BadRequest for a record without an address.
    """
    from glihamba.models import download as fetching

    if record.url is None:
        raise BadRequest(f"'{record.name}' is not downloaded: it {_not_downloaded(record)}.")
    fetching.check_url(record.url)
    path = registry.weights_path(record)
    with _writing(path), _locked(record, cancelled):
        if path.is_file() and _hash_of(path) == record.sha256:
            progress(record.bytes, record.bytes)
            return path
        # Named by its content, so that a part of an older release's weights is never continued.
        part = path.with_name(f"{record.name}.{record.sha256[:12]}.part")
        fetching.check_space(part, record.bytes)
        continued = part.is_file()
        fetching.fetch(record, part, progress, cancelled)
        if continued and _hash_of(part) != record.sha256:  # the part on disk was bad: once more, afresh
            part.unlink()
            fetching.fetch(record, part, progress, cancelled)
        if _hash_of(part) != record.sha256:
            part.unlink()
            raise ModelDamaged(
                f"What {record.url} sent is not '{record.name}': its SHA-256 is another. Nothing was"
                " installed; try again later, or tell whoever published the model."
            )
        os.replace(part, path)
    return path


def _described(
    path: Path, name: str | None, architecture: str | None, config: Mapping[str, Any] | None
) -> Record:
    """The record a file to be added gets: its header's, or one made from the arguments."""
    try:
        shapes, tensors_record = _header(path, path.name)
    except FileNotFoundError:
        raise BadRequest(f"There is no file {path}: check the name.") from None
    except OSError as error:
        if path.is_dir():
            raise BadRequest(f"{path} is a folder: name the .safetensors file in it.") from None
        raise BadRequest(f"{path} cannot be read ({error.strerror}): correct its permissions.") from None
    try:
        if architecture:
            record = Record(
                name=name or re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._"),
                title=path.stem,
                description=f"Added from {path.name}.",
                architecture=architecture,
                licence="not stated",
                training_data="not stated",
                source=registry.LOCAL,
                config=dict(config or {}),
            )
        elif tensors_record:
            record = replace(Record.from_json(tensors_record), source=registry.LOCAL)
            record = replace(record, name=name or record.name)
        else:
            raise BadRequest(
                f"{path.name} does not say which network its weights are for; name it with --architecture."
            )
    except BadRecord as error:
        raise BadRequest(f"The description of {path.name} cannot be used: {error}.") from None
    check_sizes(record, shapes)  # before anything is built or copied
    return record


def _parsed(path: Path, name: str) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a file and the record in its header; ModelDamaged for anything but safetensors."""
    import safetensors.torch
    from safetensors import SafetensorError

    data = path.read_bytes()
    try:
        return dict(safetensors.torch.load(data)), _header(path, name)[1]
    except SafetensorError as error:
        raise _no_safetensors(name, error) from None


def _header(path: Path, name: str) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """The shapes of a file's tensors and the record in its header. Raises OSError, ModelDamaged.

    Nothing but the header is read, whatever it says of what follows.
    """
    with open_regular(path) as file:
        head = file.read(8)
        if _is_pickle(head[:4]):
            raise ModelDamaged(f"{_PICKLE.format(name=name)} Ask for the weights as .safetensors.")
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > _HEADER:
            raise _no_safetensors(name, "its header is missing or too long")
        text = file.read(length)
        size = os.fstat(file.fileno()).st_size
    try:
        table = documents.loads(text)
        record = (table.pop("__metadata__", None) or {}).get(METADATA_KEY)
        shapes = {key: tuple(map(int, entry["shape"])) for key, entry in table.items()}
        end = 8 + length + max((int(entry["data_offsets"][1]) for entry in table.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _no_safetensors(name, f"its header cannot be read: {error}") from None
    if size != end:
        raise _no_safetensors(name, f"{size:,} bytes of {end:,}")
    if record is not None and not isinstance(record, str):
        raise _no_safetensors(name, "its description is no text")
    return shapes, record


def _no_safetensors(name: str, why: object) -> ModelDamaged:
    return ModelDamaged(f"'{name}' is not a whole safetensors file ({why}). Fetch it again.")


def _is_pickle(head: bytes) -> bool:
    """A PyTorch checkpoint is a zip or a bare pickle; a safetensors file starts with a length under 2**32."""
    return bool(head.startswith(b"PK") or re.match(rb"\x80[\x02-\x05][c}(\x8a\x95]", head))


def _damaged(record: Record, wrong: str) -> ModelDamaged:
    """The failure that says what is wrong with the record's weights and what to do."""
    if record.url:
        case = "DOWNLOADED"
        remedy = f"Remove and download it again: glihamba models remove {record.name}, then download."
    elif record.source == registry.PACKAGE:
        case, remedy = "SHIPPED", "Repair the installation: python install.py"
    else:
        case = "LOCAL"
        remedy = f"Remove it and add the file again: glihamba models remove {record.name}"
    return ModelDamaged(f"{wrong} {remedy}", case=case, model=record.name)


def _not_downloaded(record: Record) -> str:
    return {registry.PACKAGE: "ships with GLIHamba", registry.NO_WEIGHTS: "needs no weights"}.get(
        record.source, "was added from a file"
    )


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_record(path: Path, record: Record) -> None:
    with replacing(path) as part:
        part.write_text(record.to_json(), "utf-8")


@contextmanager
def _locked(record: Record, cancelled: Callable[[], bool]) -> Iterator[None]:
    """One process at a time changes a model's files."""
    lock = filelock.FileLock(registry.user_folder() / f"{record.name}.lock")
    while True:
        if cancelled():
            raise Cancelled("Cancelled while another download of this model was running.")
        try:
            lock.acquire(timeout=0.2)
        except filelock.Timeout:
            continue
        break
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Makes `path`'s folder; what the disk refuses meanwhile becomes a sentence. Raises CannotWrite."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", -1)):
            cause, remedy = "The disk is full", f"make room in {folder} and try again"
        elif error.errno is None:  # of the network's, not the disk's
            raise
        else:
            cause, remedy = (
                f"{folder} cannot be written ({error.strerror})",
                "correct its permissions, or name another data folder",
            )
        raise CannotWrite(f"{cause}: {remedy}. What was there is unharmed.") from error
