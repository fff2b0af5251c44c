"""Recipes as files: one that extends another, lengths in epochs, and values given on the command line."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

from glihamba.networks import class_of, names
from glihamba_training.run.recipe import Recipe, RecipeError, refuse_unknown
from glihamba_training.synthesis.settings import SynthesisSettings

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, before it joined the standard library
    import tomli as tomllib

TABLES = ("config", "synthesis")  # a recipe that extends another changes single keys in these, too
EPOCHS, EXTENDS = "epochs", "extends"  # keys of the files that `Recipe` does not have
_KEYS = (*(each.name for each in dataclasses.fields(Recipe)), EPOCHS)
_KINDS = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}


def recipe_names() -> list[str]:
    """The names of the recipes in the package; an ablation's begins with its network's and a slash."""
    return sorted(name for name, _ in _shipped(resources.files("glihamba_training") / "recipes"))


def load_recipe(name_or_path: str, *, settings: Sequence[str] = (), **overrides: Any) -> Recipe:
    """The recipe of that name in the package, or in that .toml file.

    A file's `extends` names the recipe that it changes. `epochs` gives the length in passes over `epoch`
    composites, iHarmony4's if the recipe does not say, and then `milestones` are epochs too: another batch
    changes the steps, and not how often each composite is seen.

    settings: "KEY=VALUE" each, VALUE as in the file; keys of its tables are "config.KEY" and "synthesis.KEY".
    overrides: values instead of the recipe's own; None is none. `steps` is then the length, whatever `epochs`
    says. Raises RecipeError.
    """
    table = {**_extended(name_or_path, ()), **{k: v for k, v in overrides.items() if v is not None}}
    changes = [_setting(setting) for setting in settings]
    for change in changes:
        table = _merged(table, change)
    by_steps = overrides.get("steps") is not None or any("steps" in change for change in changes)
    return _made(table, by_steps)


def _made(table: dict[str, Any], by_steps: bool) -> Recipe:
    """by_steps: the length is `steps`, although the table may say `epochs`."""
    refuse_unknown(table, _KEYS)
    if EPOCHS in table:
        epochs, per_epoch = table.pop(EPOCHS), _per_epoch(table)
        _refuse_wrong_kind(EPOCHS, epochs, float)
        _refuse_wrong_kind("milestones", table.get("milestones", []), tuple[float, ...])
        table["milestones"] = [round(m * per_epoch) for m in table.get("milestones", [])]
        if not by_steps:
            table["steps"] = round(epochs * per_epoch)
    synthesis = _make(SynthesisSettings, table.pop("synthesis", {}), "synthesis.")
    if table.get("model") in names():
        hints = typing.get_type_hints(class_of(table["model"]).Config)
        for key, value in table.get("config", {}).items():
            _refuse_wrong_kind(f"config.{key}", value, hints.get(key, Any))
    made: Recipe = _make(Recipe, {**table, "synthesis": synthesis})
    return made


def _per_epoch(table: Mapping[str, Any]) -> int:
    for key in ("batch", "epoch"):
        if not isinstance(table.get(key, 1), int) or table.get(key, 1) < 1:
            raise RecipeError(f'The recipe\'s "{key}" must be a whole number above 0, not {table[key]!r}.')
    if "batch" not in table:
        raise RecipeError('The recipe is incomplete: "batch" is missing, and "epochs" needs it.')
    return -(-table.get("epoch", Recipe.epoch) // table["batch"])


def _extended(name_or_path: str, within: tuple[str, ...]) -> dict[str, Any]:
    """The file's keys over those of the recipe that it extends, and of the one that that one extends."""
    if name_or_path in within:
        raise RecipeError(f"The recipe {name_or_path} extends itself: name another one.")
    text, where = _text(name_or_path)
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe {name_or_path} is not a TOML file: {error}.") from error
    base = said.pop(EXTENDS, None)
    if base is None:
        return said
    _refuse_wrong_kind(EXTENDS, base, str)
    beside = str(where.parent / base) if where and base.endswith(".toml") else base
    return _merged(_extended(beside, (*within, name_or_path)), said)


def _merged(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**table, **over}
    for name in TABLES:
        if name in over and isinstance(over[name], Mapping):
            merged[name] = {**table.get(name, {}), **over[name]}
    return merged


def _setting(setting: str) -> dict[str, Any]:
    """What "KEY=VALUE" changes. A word without quotes is text."""
    key, sign, text = (part.strip() for part in setting.partition("="))
    if not sign or not key:
        raise RecipeError(f'"{setting}" is not KEY=VALUE: write, for example, learning_rate=1e-4.')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    room, dot, name = key.partition(".")
    if not dot:
        refuse_unknown({key: value}, _KEYS)
        return {key: value}
    if room not in TABLES:
        raise RecipeError(f'A recipe has no table "{room}": its tables are {" and ".join(TABLES)}.')
    return {room: {name: value}}


def _make(kind: type, table: Mapping[str, Any], prefix: str = "") -> Any:
    refuse_unknown(table, [f.name for f in dataclasses.fields(kind)], prefix)
    hints = typing.get_type_hints(kind)
    for key, value in table.items():
        _refuse_wrong_kind(prefix + key, value, hints[key])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"The recipe is incomplete: {error}.") from error


def _refuse_wrong_kind(key: str, value: Any, hint: Any) -> None:
    if not _fits(value, hint):
        raise RecipeError(f'The recipe\'s "{key}" must be {_in_words(hint)}, not {value!r}.')


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML file can stand for what the annotation says."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in inner
    if origin in (typing.Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _in_words(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(f'"{each}"' for each in inner)
    if origin in (typing.Union, UnionType):
        return " or ".join(_in_words(each) for each in inner if each is not NoneType)
    if origin is tuple:
        count = "" if inner[1:] == (...,) else f"{len(inner)} "
        return f"a list of {count}values, each {_in_words(inner[0])}"
    return _KINDS.get(hint, "a table")


def _text(name_or_path: str) -> tuple[str, Path | None]:
    """The recipe's text, and its path if it is a file of a person's own."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            return path.read_text("utf-8-sig"), path
        except UnicodeDecodeError as error:
            raise RecipeError(f"The recipe {path} is not a text in UTF-8: save it again as that.") from error
        except OSError as error:
            raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    shipped = dict(_shipped(resources.files("glihamba_training") / "recipes"))
    if name_or_path not in shipped:
        near = difflib.get_close_matches(name_or_path, shipped, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        plain = ", ".join(sorted(name for name in shipped if "/" not in name))
        raise RecipeError(f'There is no recipe "{name_or_path}": choose {plain}, or give a .toml file.{hint}')
    return shipped[name_or_path].read_text("utf-8"), None


def _shipped(folder: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _shipped(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            found.append((prefix + entry.name[: -len(".toml")], entry))
    return found
