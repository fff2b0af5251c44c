"""Decodes a folder of training pictures and names everything that is missing, broken or odd."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from glihamba_training.data import iharmony4
from glihamba_training.data.fingerprints import Seen, perceptual_hash, real_name, some
from glihamba_training.data.iharmony4 import BadList, Entry
from glihamba_training.data.photos import Example, decode, examples, licences
from glihamba_training.data.picture_cache import OnProgress, ahead
from glihamba_training.data.pictures import BadPicture, read_mask, read_photo

SMALLEST = 100  # A_min in pixels of a 256 x 256 picture: the loss counts smaller objects as this large


@dataclass
class Report:
    """rows: counts by part, all with the same names. problems: one sentence for each thing that training or
    scoring would stop at or leave out. notes: one for each oddity that it would accept.
    """

    kind: str
    rows: list[dict[str, str | int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_data(
    root: Path,
    progress: OnProgress = lambda done, total: None,
    seen: Mapping[str, Seen] | None = None,
) -> Report:
    """Compares a copy of iHarmony4 with its official lists, or examines photographs; every file is decoded.

    It notes real pictures that training and test list share, by name or by hash. seen: what models were
    trained on, by their names; pictures among those are noted. Raises FileNotFoundError for a folder that
    holds neither.
    """
    seen = seen or {}
    if iharmony4.is_copy(root):
        return _iharmony4(root, progress, seen)
    return _photographs(root, progress, seen)


def _iharmony4(root: Path, progress: OnProgress, seen: Mapping[str, Seen]) -> Report:
    report = Report(iharmony4.kind_of(root))
    counted = iharmony4.official(root) or {split: {} for split in ("train", "test")}
    lists: dict[str, list[Entry]] = {}
    for split, official in counted.items():
        try:
            lists[split] = iharmony4.entries(root, split)
        except FileNotFoundError:
            report.problems.append(
                f"{iharmony4.list_name(root, split)} is missing, with its {sum(official.values()):,}"
                " composites."
            )
        except BadList as error:
            report.problems.append(str(error))
    done, total = 0, sum(len(listed) for listed in lists.values())
    known: dict[Path, _Real] = {}
    for split, listed in lists.items():
        absent = iharmony4.missing(root, listed)
        report.problems += [f"{path.as_posix()} is missing ({entry.line})." for entry, path in absent]
        gone = {entry.line for entry, _ in absent}
        whole: Counter[str] = Counter()
        complete = [entry for entry in listed if entry.line not in gone]
        threads = os.cpu_count() or 1
        for entry, wrong, note in ahead(partial(_examine, root, known), complete, threads, 4 * threads):
            whole[entry.subset] += not wrong
            report.problems += [wrong] if wrong else []
            report.notes += [note] if note else []
            done += 1
            progress(done, total)
        _count(report, iharmony4.list_name(root, split), split, counted[split], listed, whole)
    report.notes += _leaks(lists, known, seen)
    return report


def _leaks(
    lists: Mapping[str, Sequence[Entry]], known: Mapping[Path, _Real], seen: Mapping[str, Seen]
) -> list[str]:
    """What training and test list share, and what the models were trained on, in sentences."""
    fingerprints: dict[str, dict[str, int]] = {}
    for split, listed in lists.items():
        reals = {real_name(entry.subset, entry.name): known.get(entry.real) for entry in listed}
        fingerprints[split] = {name: real.code for name, real in reals.items() if real is not None}
    train, test = (fingerprints.get(split, {}) for split in ("train", "test"))
    notes = []
    codes = Seen(frozenset(train), np.array(list(train.values()), np.uint64))
    shared = [name for name, code in test.items() if name in codes.names or codes.near(code)]
    if shared:
        notes.append(
            f"{len(shared):,} real pictures of the test list are in the training list, too, by name or by"
            f" what they show: {some(shared)}."
        )
    for model, each in seen.items():
        met = [name for name, code in test.items() if name in each.names or each.near(code)]
        if met:
            notes.append(f"{model} was trained on {len(met):,} real pictures of the test list: {some(met)}.")
    return notes


@dataclass(frozen=True)
class _Real:
    """A real picture that was decoded: its size, its hash, and what is wrong with it, "" if nothing."""

    size: tuple[int, int] = (0, 0)
    code: int = 0
    wrong: str = ""


def _examine(root: Path, known: dict[Path, _Real], entry: Entry) -> tuple[Entry, str, str]:
    """The entry, its problem and its note, "" if none. known: real pictures decoded already, shared by
    entries.
    """
    try:
        _, size = read_photo(root / entry.composite, entry.line)
        mask = read_mask(root / entry.mask, entry.mask.as_posix(), size)
        if entry.real not in known:
            try:
                picture, real_size = read_photo(root / entry.real, entry.real.as_posix())
                known[entry.real] = _Real(real_size, perceptual_hash(np.asarray(picture)))
            except BadPicture as error:
                known[entry.real] = _Real(wrong=str(error))
        real = known[entry.real]
        if real.wrong:
            return entry, real.wrong, ""
        if real.size != size:
            return entry, (
                f"{entry.real.as_posix()} is {real.size[0]} x {real.size[1]} pixels and its composite"
                f" {entry.line} {size[0]} x {size[1]}: resize all three alike."
            ), ""  # fmt: skip
    except BadPicture as error:
        return entry, str(error), ""
    return entry, "", _small(entry.line, float(np.asarray(mask).mean()) / 255)


def _small(name: str, share: float) -> str:
    area = share * 256**2
    if area >= SMALLEST:
        return ""
    return f"{name}: its object has {area:.0f} pixels at 256 x 256; the loss counts it as {SMALLEST} (A_min)."


def _count(
    report: Report,
    name: str,
    split: str,
    counted: Mapping[str, int],
    listed: list[Entry],
    whole: Counter[str],
) -> None:
    """name: of the list. counted: what its authors count."""
    counts = Counter(entry.subset for entry in listed)
    twice = len(listed) - len({entry.line for entry in listed})
    if twice:
        report.problems.append(f"{name} lists {twice:,} composites twice: download the list again.")
    for subset in dict.fromkeys([*counted, *counts]):
        official = counted.get(subset, 0)
        report.rows.append(
            {
                "list": split,
                "subset": subset,
                "official": official,
                "listed": counts[subset],
                "whole": whole[subset],
            }
        )
        if counted and counts[subset] != official:
            report.problems.append(
                f"{name} lists {counts[subset]:,} composites of {subset}, the official list {official:,}."
            )


def _photographs(root: Path, progress: OnProgress, seen: Mapping[str, Seen]) -> Report:
    broken: list[str] = []
    if next(examples(root, None, broken), None) is None and not broken:
        raise FileNotFoundError(
            f"{root} holds neither iHarmony4 (IHD_train.txt, IHD_test.txt) nor photographs (JPEG, PNG,"
            " or tars of them): give another folder."
        )
    report = Report("photographs")
    threads = os.cpu_count() or 1
    photographs = masks = without = 0
    met: dict[str, list[str]] = {}

    def examine(example: Example) -> tuple[Example, list[str], list[str], bool, int]:
        decoded = decode(example, 256, find=False)
        small = [_small(example.name, float(mask.mean()) / 255) for mask, _ in decoded.masks]
        code = perceptual_hash(decoded.photo) if decoded.photo is not None and seen else 0
        return example, decoded.wrong, [note for note in small if note], decoded.photo is not None, code

    for number, (example, wrong, notes, usable, code) in enumerate(
        ahead(examine, examples(root, None, report.problems), threads, 4 * threads)
    ):
        photographs += usable
        masks += len(example.masks) - (len(wrong) if usable else 0)
        without += not example.masks
        report.problems += wrong
        report.notes += notes
        for model, each in seen.items():
            if each.near(code):
                met.setdefault(model, []).append(example.name)
        progress(number + 1, 0)
    report.rows.append({"photographs": photographs, "masks": masks, "without masks": without})
    if without:
        report.notes.append(f"{without:,} photographs have no mask: objects are looked for in them.")
    report.notes += [
        f"{model} was trained on {len(names):,} of these photographs: {some(names)}."
        for model, names in met.items()
    ]
    report.notes += [f"{count:,} photographs: {licence}" for licence, count in licences(root, None).items()]
    return report
