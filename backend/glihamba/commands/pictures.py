"""The pictures of a call of `glihamba harmonize`, and the worker that harmonizes them in turn."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glihamba_client.host import Choice


@dataclass(frozen=True)
class Picture:
    """One composite to harmonize. `mask` is its file, or a sentence that says why it has none."""

    composite: Path
    mask: Path | str
    output: Path


class Worker:
    """Harmonizes pictures one at a time with a service."""

    def __init__(self, service: Any, choice: Choice) -> None:
        self.service, self.choice = service, choice

    def harmonize(
        self, picture: Picture, show: Callable[[Any], None] = lambda progress: None, **options: Any
    ) -> dict[str, Any]:
        """Write the picture's output. Returns the facts that `--json` prints; times are in seconds.

        `show` is called with the progress; `options` are more of `FileHost`'s. Raises ClientError and
        BadPicture. Nothing is written then.
        """
        from glihamba.file_host import FileHost
        from glihamba.image_files import BadPicture
        from glihamba_client.errors import ClientError
        from glihamba_client.harmonize_layer import harmonize_layer, run

        if isinstance(picture.mask, str):
            raise BadPicture(picture.mask)
        host = FileHost(picture.composite, picture.mask, picture.output, show=show, **options)
        begun = time.perf_counter()
        try:
            run(harmonize_layer(host, self.service, self.choice))
        except MemoryError:
            raise ClientError("OUT_OF_MEMORY") from None
        assert host.harmonized is not None
        return {
            "composite": str(picture.composite),
            "output": str(picture.output),
            "model": host.harmonized.model,
            "device": host.harmonized.device,
            "seconds": round(time.perf_counter() - begun, 3),
            "seconds_queued": round(host.harmonized.seconds_queued, 3),
            "seconds_computed": round(host.harmonized.seconds_computed, 3),
            "messages": host.messages,
        }


def pairs(composites: Path, masks: Path, output: Path) -> list[Picture]:
    """Pair every composite in a folder with the mask of its name, and make the output folder.

    Raises BadPicture for folders that cannot be used. A composite without a mask is returned with the reason.
    """
    from glihamba.image_files import READ_SUFFIXES, BadPicture, output_name

    def pictures(folder: Path) -> list[Path]:
        return sorted(
            p for p in folder.iterdir() if p.suffix.lower() in READ_SUFFIXES and not p.name.startswith(".")
        )

    if not masks.is_dir():
        raise BadPicture(f"{composites} is a folder, so --mask must be one too, but {masks} is not a folder.")
    if output.exists() and not output.is_dir():
        raise BadPicture(f"{composites} is a folder, so the output must be one too, but {output} is a file.")
    found = pictures(composites)
    if not found:
        raise BadPicture(f"There are no pictures ({', '.join(READ_SUFFIXES)}) in {composites}.")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadPicture(f"The folder {output} cannot be made: {error.strerror}.") from error
    if any(output.samefile(folder) for folder in (composites, masks)):
        raise BadPicture(f"The output would overwrite the pictures in {output}: choose another folder.")
    by_stem: dict[str, list[Path]] = {}
    for path in pictures(masks):
        by_stem.setdefault(_stem(path), []).append(path)
    return [Picture(path, _mask_of(path, masks, by_stem), output / output_name(path)) for path in found]


def _stem(path: Path) -> str:
    """A file's name without its ending; macOS may write its letters with separate accents."""
    return unicodedata.normalize("NFC", path.stem)


def passed_over(folder: Path) -> list[str]:
    """The names of the files in a folder of composites that are no pictures of ours, hidden ones left out."""
    from glihamba.image_files import READ_SUFFIXES

    names = (p.name for p in folder.iterdir() if p.is_file() and p.suffix.lower() not in READ_SUFFIXES)
    return sorted(name for name in names if not name.startswith("."))


def _mask_of(composite: Path, masks: Path, by_stem: dict[str, list[Path]]) -> Path | str:
    fitting = by_stem.get(_stem(composite), [])
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        return f"There is no mask for it: {masks} has no picture called {composite.stem}."
    return f"There are {len(fitting)} masks for it ({', '.join(p.name for p in fitting)}): keep one."
