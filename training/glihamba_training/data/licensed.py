"""The photographs of a folder whose licences allow what a model is meant for, with the credit they ask for.

A model that anyone may use can only be trained on pictures that anyone may use and adapt. `manifest.csv` says
under which licence each photograph is.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glihamba.errors import BadRequest
from glihamba_proto.files import replacing
from glihamba_training.data.photos import Example, examples, manifest
from glihamba_training.data.picture_cache import OnProgress
from glihamba_training.synthesis.families import LIGHTS

FREE = ("cc0", "public domain", "cc-by", "cc-by-sa")  # allow use and adaptation, also for money
_VERSION = re.compile(r"[- ]v?\d+(\.\d+)*$")
_MAGIC = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "webp"}


@dataclass(frozen=True)
class Subset:
    """What was written. photographs: by licence. left_out: by licence, "" for those that state none."""

    photographs: dict[str, int]
    left_out: dict[str, int]


def allowed(licence: str, names: Iterable[str]) -> bool:
    """Whether a licence is one of the names, of any version: cc-by-2.0 is cc-by, cc-by-nc is not."""
    plain = _VERSION.sub("", licence.strip().lower())
    return plain in {name.strip().lower() for name in names}


def write_subset(
    root: Path, output: Path, names: Iterable[str], progress: OnProgress = lambda done, total: None
) -> Subset:
    """Write the photographs of `root` under these licences to the new folder `output`.

    There are tars of both splits, a manifest, `NOTICE.txt` with each photograph's origin and licence, and the
    measured lights if `root` has them. Raises BadRequest if `root` states no licences, none is allowed, or
    `output` holds something.
    """
    rows, names = manifest(root), tuple(names)
    if not any(row.get("licence") for row in rows.values()):
        raise BadRequest(f"{root} has no manifest.csv with a column licence: nothing says what is allowed.")
    if output.exists() and any(output.iterdir()):
        raise BadRequest(f"{output} is not empty: name a new folder.")
    kept = {name: row for name, row in rows.items() if allowed(row.get("licence", ""), names)}
    if not kept:
        raise BadRequest(f"No photograph of {root} is under {', '.join(names)}.")
    output.mkdir(parents=True, exist_ok=True)
    written: dict[str, dict[str, str]] = {}
    for split in ("train", "val"):
        with replacing(output / f"{split}.tar") as part, tarfile.open(part, "w") as tar:
            for number, example in enumerate(examples(root, split), 1):
                if example.name in kept:
                    _add(tar, example)
                    written[example.name] = {**kept[example.name], "split": split}
                progress(number, len(rows))
    _write_manifest(output / "manifest.csv", written)
    (output / "NOTICE.txt").write_text(notice(written), "utf-8")
    for folder in (root, root.parent):
        if (folder / LIGHTS).is_file():
            shutil.copytree((folder / LIGHTS).parent, output / LIGHTS.parent, dirs_exist_ok=True)
            break
    return Subset(
        _by_licence(written.values()), _by_licence(row for n, row in rows.items() if n not in written)
    )


def notice(rows: dict[str, dict[str, str]]) -> str:
    """The credit that the licences ask for: each photograph's name, origin and licence, a line each."""
    head = "Photographs that the weights were trained on: name, origin, licence.\n\n"
    lines = (
        f"{name}, {row.get('origin') or 'unknown origin'}, {row['licence']}" for name, row in rows.items()
    )
    return head + "\n".join(lines) + "\n"


def _add(tar: tarfile.TarFile, example: Example) -> None:
    """The photograph and its masks, as they are."""
    flat = example.name.replace("/", "_").replace(".", "_")
    photo, *masks = (
        part.read_bytes() if isinstance(part, Path) else part for part in (example.photo, *example.masks)
    )
    kind = next((kind for magic, kind in _MAGIC.items() if photo.startswith(magic)), "tif")
    for suffix, data in ((kind, photo), *((f"mask{n}.png", mask) for n, mask in enumerate(masks))):
        entry = tarfile.TarInfo(f"{flat}.{suffix}")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


def _write_manifest(path: Path, rows: dict[str, dict[str, str]]) -> None:
    columns = list(next(iter(rows.values())))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for name, row in rows.items():
            writer.writerow({**row, "name": name.replace("/", "_").replace(".", "_")})


def _by_licence(rows: Iterable[dict[str, str]]) -> dict[str, int]:
    return dict(Counter(row.get("licence", "") for row in rows).most_common())
