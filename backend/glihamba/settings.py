"""The table of settings. Each setting is read from the environment variable `GLIHAMBA_` plus its name.

    settings = in_force()                # the environment, else the defaults
    settings = in_force(device="cpu")    # the command line comes before both
    for setting in describe(settings):   # what `glihamba settings` prints

`glihamba_proto.places` says where the folders lie by default, because the plugins look there too.
"""

# ruff: noqa: RUF009 - `_setting` is dataclasses.field with our metadata
from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from glihamba.errors import BadRequest
from glihamba_proto import places

PREFIX = "GLIHAMBA_"


class BadSetting(BadRequest, ValueError):
    """A setting's value cannot be used. The sentence names the variable and the values it may have."""


def _setting(
    default: Any,
    help: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    show: str = "",
) -> Any:
    """Return a field of `Settings`. `show` describes a default that depends on the machine."""
    return field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices, "show": show}
    )


@dataclass(frozen=True)
class Settings:
    """Every setting with its type, default and help. Build it with `in_force`."""

    data_dir: Path = _setting(
        Path(),
        "folder for all data: weights, logs, runtime files",
        show="a folder of your account's own data",
    )
    runtime_dir: Path = _setting(Path(), "folder of endpoint.json and the daemon's lock", show="DATA_DIR/run")
    log_dir: Path = _setting(Path(), "folder of the daemon's log files", show="DATA_DIR/logs")
    device: str = _setting("auto", "where networks run", choices=("auto", "cpu", "cuda"))
    threads: int = _setting(0, "CPU threads for a network; 0: one for each core", low=0, high=1024)
    unload_minutes: float = _setting(
        10.0, "idle minutes after which the model leaves memory", low=0, high=1e6
    )
    exit_minutes: float = _setting(
        30.0, "idle minutes after which a daemon started by a plugin ends", low=0, high=1e6
    )
    pixel_limit: int = _setting(150_000_000, "largest picture, in pixels", low=1, high=2**31 - 1)
    queue_megabytes: int = _setting(
        2048, "memory for the pictures of all jobs together; one job alone may take more", low=1, high=1 << 20
    )
    queue_length: int = _setting(
        16, "jobs whose pictures are taken in while one runs; 64 more wait outside", low=1, high=256
    )
    chunk_bytes: int = _setting(1 << 20, "bytes of pixels in one message", low=1 << 12, high=4 << 20)
    shared_files: str = _setting(
        "on", "pass large pictures through files in RUNTIME_DIR/planes, where possible", choices=("on", "off")
    )
    default_model: str = _setting("", "model used when none is named", show="the registry's default")
    log_level: str = _setting(
        "info", "least severe event written to the log", choices=("debug", "info", "warning", "error")
    )

    @property
    def models_dir(self) -> Path:
        """The folder of downloaded and added weights."""
        return self.data_dir / places.MODELS

    @property
    def endpoint_file(self) -> Path:
        return self.runtime_dir / places.ENDPOINT

    @property
    def lock_file(self) -> Path:
        return self.runtime_dir / places.LOCK

    @property
    def process_file(self) -> Path:
        return self.runtime_dir / places.PROCESS

    @property
    def socket_file(self) -> Path:
        return self.runtime_dir / places.SOCKET

    @property
    def planes_dir(self) -> Path | None:
        """The folder of shared files; None if there shall be none."""
        return self.runtime_dir / places.PLANES if self.shared_files == "on" else None

    @property
    def log_file(self) -> Path:
        return self.log_dir / places.DAEMON_LOG


class Setting(NamedTuple):
    """One setting as text. `value` is in force, `default` holds without overrides."""

    name: str
    variable: str
    type: str
    default: str
    value: str
    help: str


def in_force(
    environ: Mapping[str, str] = os.environ, *, platform: str = sys.platform, **overrides: Any
) -> Settings:
    """Return the settings in force: `overrides` that are not None, else GLIHAMBA_*, else the defaults.

    platform: as `sys.platform`; it decides where the data folder lies. Raises BadSetting for a value that is
    out of range or of the wrong type, and TypeError for an override that is not a setting.
    """
    known = {entry.name: entry for entry in fields(Settings)}
    if unknown := overrides.keys() - known.keys():
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, entry in known.items():
        variable = PREFIX + name.upper()
        given = overrides.get(name)
        label = name.replace("_", " ")
        if given is None:
            given, label = environ.get(variable, "").strip() or None, variable
        if given is not None:
            values[name] = _checked(label, given, entry.type, entry.metadata)
    if "data_dir" not in values:
        values["data_dir"] = _default_data_folder(platform, environ)
    values.setdefault("runtime_dir", values["data_dir"] / places.RUNTIME)
    values.setdefault("log_dir", values["data_dir"] / places.LOGS)
    return Settings(**values)


def describe(settings: Settings) -> list[Setting]:
    """Return every setting with its variable, type, default, value and help, in the table's order."""
    return [
        Setting(
            entry.name,
            PREFIX + entry.name.upper(),
            "|".join(entry.metadata["choices"])
            or {"Path": "folder", "str": "text"}.get(str(entry.type), str(entry.type)),
            entry.metadata["show"] or str(entry.default),
            str(getattr(settings, entry.name)),
            entry.metadata["help"],
        )
        for entry in fields(Settings)
    ]


def _checked(label: str, given: Any, kind: Any, rules: Mapping[str, Any]) -> Any:
    """Return `given`, which is text or already an object, as the setting's type. Raises BadSetting."""
    if kind == "Path":
        return _absolute(label, given)
    if kind == "str":
        text = str(given)
        if rules["choices"]:
            text = text.lower()
            if text not in rules["choices"]:
                wanted = ", ".join(rules["choices"])
                raise BadSetting(case="CHOICE", name=label, wanted=wanted, value=repr(str(given)))
        return text
    try:
        number = int(given) if kind == "int" else float(given)
    except (TypeError, ValueError):
        number = math.nan
    if not rules["low"] <= number <= rules["high"]:
        case = "WHOLE_NUMBER" if kind == "int" else "NUMBER"
        low, high = f"{rules['low']:.0f}", f"{rules['high']:.0f}"
        raise BadSetting(case=case, name=label, low=low, high=high, value=repr(str(given)))
    return number


def _default_data_folder(platform: str, environ: Mapping[str, str]) -> Path:
    try:
        return places.default_data_folder(platform, environ)
    except places.BadPlace as error:
        raise BadSetting(case=error.case, **error.fields) from None


def _absolute(label: str, given: Any) -> Path:
    try:
        return places.absolute(label, given)
    except places.BadPlace as error:
        raise BadSetting(case=error.case, **error.fields) from None
