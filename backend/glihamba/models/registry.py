"""What models there are: one frozen record for each, read from JSON files.

A record lies as `NAME.json` in one of two folders, its weights beside it as `NAME.safetensors`:

* `glihamba/weights/` ships with the package. A record there may name a URL instead of a file; its
  weights are then downloaded into the second folder.
* `models/` in the person's data folder holds what was downloaded or added. A record there never
  replaces one that ships: it is passed over, and the log says so.

This module imports nothing heavy: listing models must not cost a second.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from glihamba.errors import ModelNotInstalled, UnknownModel
from glihamba_proto import documents, places
from glihamba_proto.files import open_regular

PACKAGED = Path(__file__).resolve().parent.parent / "weights"

DEFAULT: str = (PACKAGED / "default.txt").read_text("utf-8").strip()
"""The model that runs when none is named."""

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TEXTS = (
    "name",
    "title",
    "description",
    "architecture",
    "licence",
    "training_data",
    "sha256",
    "source",
    "paper",
)

NO_WEIGHTS = "none"
PACKAGE = "package"
LOCAL = "local"


class BadRecord(ValueError):
    """A record that cannot be read; `str(error)` says which part of it."""


@dataclass(frozen=True)
class Record:
    """One model: what is built, with what weights, and how well it did.

    `name` is lower case letters, digits, `.`, `_` and `-`. `architecture` and `config` go to
    `networks.build`. `source` is `"package"` (ships with the package), `"local"` (added from a file),
    `"none"` (the method needs no weights) or the URL the weights are downloaded from. `sha256` (hex)
    and `bytes` are the weights file's, empty until it is written. `metrics` maps a protocol and its
    pictures, in words, to figures, e.g. `{"strict, nine iHarmony4 sample triples": {"psnr": 27.1}}`.
    """

    name: str
    title: str
    description: str
    architecture: str
    licence: str
    training_data: str
    source: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sha256: str = ""
    bytes: int = 0
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    paper: str = ""

    def __post_init__(self) -> None:
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise BadRecord(f"'{name}' must be text")
        if not _NAME.fullmatch(self.name):
            raise BadRecord(f"'{self.name}' is not a name (lower case letters, digits, . _ and -)")
        if not isinstance(self.config, Mapping) or not isinstance(self.metrics, Mapping):
            raise BadRecord("'config' and 'metrics' must be tables")
        if type(self.bytes) is not int or self.bytes < 0:
            raise BadRecord("'bytes' must be a whole number")

    @property
    def has_weights(self) -> bool:
        """False for a method that needs none."""
        return self.source != NO_WEIGHTS

    @property
    def url(self) -> str | None:
        """Where the weights are downloaded from, if anywhere."""
        return None if self.source in (NO_WEIGHTS, PACKAGE, LOCAL) else self.source

    @property
    def source_text(self) -> str:
        """Where the weights come from, in words."""
        words = {
            NO_WEIGHTS: "needs no weights",
            PACKAGE: "ships with the package",
            LOCAL: "added from a file",
        }
        return words.get(self.source, self.source)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record; raises BadRecord."""
        try:
            table = documents.loads(text)
        except ValueError as error:
            raise BadRecord(f"not JSON ({error})") from None
        if not isinstance(table, dict):
            raise BadRecord("not a JSON table")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(table.keys() - known):
            raise BadRecord(f"unknown entry '{unknown[0]}': it may be from a newer GLIHamba")
        try:
            return cls(**table)
        except TypeError:
            missing = sorted({"name", "title", "description", "architecture", "licence"} - table.keys())
            raise BadRecord(f"'{(missing or ['source', 'training_data'])[0]}' is missing") from None


def user_folder() -> Path:
    """Where downloaded and added weights lie; it need not exist."""
    return places.data_folder() / places.MODELS


def weights_path(record: Record) -> Path:
    """Where the record's weights lie, or will lie once downloaded."""
    folder = PACKAGED if record.source == PACKAGE else user_folder()
    return folder / f"{record.name}.safetensors"


def is_installed(record: Record) -> bool:
    """True when the model can be loaded without a download (its file is there; `store` verifies it)."""
    return not record.has_weights or weights_path(record).is_file()


def how_to_install(record: Record) -> str:
    """What to do about weights that are missing, in words that end a sentence."""
    if record.url:
        return f"run `glihamba models download {record.name}`"
    if record.source == PACKAGE:
        return "repair the installation with `python install.py`"
    return f"run `glihamba models remove {record.name}`, then add its file again"


def not_installed(record: Record) -> ModelNotInstalled:
    """The failure that says that the record's weights are missing, and what to do."""
    case = "" if record.url else "SHIPPED" if record.source == PACKAGE else "LOCAL"
    return ModelNotInstalled(case=case, model=record.name)


def records() -> tuple[Record, ...]:
    """Every known model: the default first, then those that ship, then the person's own, by name."""
    shipped = {record.name: record for record in _read_folder(PACKAGED)}
    own = {}
    for record in _read_folder(user_folder()):
        if record.name in shipped:
            _log.warning(
                "The added model '%s' is passed over: a model of that name ships with GLIHamba.", record.name
            )
        else:
            own[record.name] = record
    everything = [*shipped.values(), *own.values()]
    return tuple(sorted(everything, key=lambda record: (record.name != DEFAULT, record.name not in shipped)))


def is_shipped(name: str) -> bool:
    """True when the record (not necessarily the weights) is part of the package."""
    return (PACKAGED / f"{name}.json").is_file()


def get(name: str) -> Record:
    """The record called `name` (empty: the default); raises UnknownModel, naming the nearest names."""
    by_name = {record.name: record for record in records()}
    if record := by_name.get(name or DEFAULT):
        return record
    near = difflib.get_close_matches(name.lower(), by_name, n=2, cutoff=0.5)
    if near:
        raise UnknownModel(case="NEAR", model=name, near=", ".join(near))
    raise UnknownModel(model=name, known=", ".join(by_name))


def text_of(path: Path) -> str:
    """The text of a record's file. Raises OSError, UnicodeDecodeError, and BadRecord if it is too long."""
    with open_regular(path) as file:
        data = file.read(documents.LONGEST + 1)
    if len(data) > documents.LONGEST:
        raise BadRecord(f"it is longer than {documents.LONGEST:,} bytes")
    return data.decode("utf-8")


def _read_folder(folder: Path) -> list[Record]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = Record.from_json(text_of(path))
            if record.name != path.stem:
                raise BadRecord(f"it calls itself '{record.name}'")
            if record.has_weights and not (re.fullmatch("[0-9a-f]{64}", record.sha256) and record.bytes):
                raise BadRecord("'sha256' and 'bytes' do not describe a weights file")
            if record.source == PACKAGE and folder != PACKAGED:
                raise BadRecord("it claims to ship with the package")
        except (BadRecord, UnicodeDecodeError, OSError) as error:
            _log.warning("The model record %s is passed over: %s. Correct or delete it.", path, error)
        else:
            found.append(record)
    return found
