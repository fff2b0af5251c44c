"""`glihamba harmonize --cluster`: harmonize a list of pictures on all machines of a Ray cluster.

The job can be resumed without a record of its progress: an output file is written whole or not at all, and a
picture whose output exists is done. The job runs on `ray.data`. There is one worker for each graphics card,
or for each CPU core if there is no graphics card, and each worker loads the model once.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from glihamba.commands.common import Bar, NeedsExtra, bar, print_json, say
from glihamba.commands.pictures import Picture, Worker, pairs
from glihamba_client.host import Choice
from glihamba_proto.files import replacing

COLUMNS = ("composite", "mask", "output")
_MOST_BLOCKS = 2_000  # that the list is divided into; Ray keeps an object for each
_ATTEMPTS = 2  # retries of a block whose worker died

RayRow = dict[str, Any]
"""A row of Ray's data set: a picture's files and what became of it."""


def harmonize(
    composite: Path, mask: Path | None, output: Path | None, options: dict[str, Any], as_json: bool
) -> int:
    """Harmonize every picture of a manifest, or of a folder with its masks. Returns the exit status.

    composite: a manifest (CSV) or a folder; mask and output are folders then, and None with a manifest.
    options: model, strength, device, local and remote of `glihamba harmonize`. Raises BadPicture for a
    manifest or a folder that cannot be used, and UnknownModel.
    """
    from glihamba.image_files import BadPicture

    if options["local"] or options["remote"]:
        raise click.UsageError("--cluster uses Ray's workers: leave out --local and --remote.")
    if composite.is_dir():
        if mask is None or output is None:
            raise click.UsageError("A folder needs --mask and --output. A manifest (CSV) names them itself.")
        pictures, failures = pairs(composite, mask, output), output / "failed.csv"
    else:
        if mask is not None or output is not None:
            raise click.UsageError(f"{composite} names masks and outputs itself: leave out --mask and -o.")
        pictures = read_manifest(composite)
        failures = _beside(composite)
    rows = [_absolute(picture) for picture in pictures]
    waiting = [row for row in rows if not row["reason"] and not os.path.exists(row["output"])]
    failed = [row for row in rows if row["reason"]]
    kept = len(rows) - len(waiting) - len(failed)
    _check_model(options["model"])
    done: list[RayRow] = []
    # Ray reports dead workers on standard output, where a script expects the result alone.
    with bar(not as_json) as shown, contextlib.redirect_stdout(sys.stderr):
        for row in _finished(waiting, options):
            (failed if row["reason"] else done).append(row)
            _show(shown, row, len(done) + len(failed), len(waiting))
    try:
        write_failures(failed, failures)
    except OSError as error:
        raise BadPicture(f"{failures} cannot be written: {error.strerror}.") from error
    _tell(len(rows), done, kept, failed, failures, as_json)
    return 1 if failed else 0


def _beside(manifest: Path) -> Path:
    """Return the file for a manifest's failures. A list of failures that is run again is updated in place."""
    stem = manifest.stem
    return manifest.with_name(f"{stem}.csv" if f"-{stem}".endswith("-failed") else f"{stem}-failed.csv")


def read_manifest(path: Path) -> list[Picture]:
    """Return the pictures that a manifest lists. Raises BadPicture.

    Paths are relative to the manifest. A line without a mask may give a `reason`, as a list of failures does.
    """
    from glihamba.image_files import BadPicture

    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a CSV file in UTF-8"
        raise BadPicture(f"The manifest {path} cannot be read: {reason}.") from error
    if not lines:
        raise BadPicture(f"The manifest {path} lists no pictures: add one a line below its header.")
    if lacking := [name for name in COLUMNS if name not in lines[0]]:
        raise BadPicture(
            f"The manifest {path} has no column {', '.join(lacking)}: its first line must be"
            " composite,mask,output."
        )
    found: list[Picture] = []
    written: dict[Path, int] = {}
    for number, line in enumerate(lines, 2):
        reason = (line.get("reason") or "").strip()
        maskless = bool(reason) and not (line["mask"] or "").strip()
        needed = [name for name in COLUMNS if not (maskless and name == "mask")]
        if empty := [name for name in needed if not (line[name] or "").strip()]:
            raise BadPicture(f"The manifest {path} has no {' and no '.join(empty)} in line {number}.")
        composite, mask, output = (path.parent / (line[name] or "").strip() for name in COLUMNS)
        if output in (composite, mask):
            raise BadPicture(f"The manifest {path} would overwrite {output} in line {number}.")
        if output in written:
            raise BadPicture(f"The manifest {path} writes {output} in lines {written[output]} and {number}.")
        written[output] = number
        found.append(Picture(composite, reason if maskless else mask, output))
    return found


def write_failures(failed: list[RayRow], path: Path) -> None:
    """Write the failed pictures and the reasons as a manifest to run again.

    If nothing failed, an old file is deleted. Raises OSError.
    """
    if not failed:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*COLUMNS, "reason"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(failed)


class OneWorker:
    """One of Ray's workers. Its model stays loaded from picture to picture."""

    def __init__(self, model: str, strength: float, device: str | None) -> None:
        from glihamba import settings
        from glihamba.commands.local import LocalService

        service = LocalService(settings.in_force(device=device))
        self._work = Worker(service, Choice(model, strength))
        self._where = f"{platform.node()}:{os.getpid()}"

    def __call__(self, row: RayRow) -> RayRow:
        """Harmonize a row's picture and return the row with the result or the reason of the failure.

        Nothing is raised, because one bad file must not end the job.
        """
        from glihamba.cli import sentence

        if os.path.exists(row["output"]):  # a worker wrote it and then died
            return {**row, "worker": self._where}
        try:
            Path(row["output"]).parent.mkdir(parents=True, exist_ok=True)
            picture = Picture(Path(row["composite"]), Path(row["mask"]), Path(row["output"]))
            done = self._work.harmonize(picture)
        except Exception as error:
            return {**row, "reason": sentence(error), "worker": self._where}
        return {**row, "seconds": done["seconds"], "model": done["model"], "worker": self._where}


def _finished(rows: list[RayRow], options: dict[str, Any]) -> Iterator[RayRow]:
    """Yield each row when it is done, in any order."""
    if not rows:
        return
    ray = _ray()
    started = not ray.is_initialized()
    if started:  # connects to the cluster of RAY_ADDRESS, or starts Ray on this machine
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield from _results(ray, rows, options)
    finally:
        if started:
            ray.shutdown()


def _results(ray: Any, rows: list[RayRow], options: dict[str, Any]) -> Iterator[RayRow]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # the pictures of dead workers are found below
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints to standard output, even with --json
    resources = ray.cluster_resources()
    graphics = 0 if options["device"] == "cpu" else int(resources.get("GPU", 0))
    workers = max(1, min(graphics or int(resources.get("CPU", 1)), len(rows)))
    listed = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.64 removes the arguments for restarts, and offers no others
        dataset = listed.map(
            OneWorker,
            fn_constructor_kwargs={name: options[name] for name in ("model", "strength", "device")},
            # One at a time: a picture that waits for a worker that dies would lose one of its retries.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=None if graphics else 1,
            num_gpus=1 if graphics else None,
            max_restarts=-1,  # with a limit, Ray would wait for ever once no worker is left
            max_task_retries=_ATTEMPTS,
        )
    missing = {row["output"]: row for row in rows}
    for row in dataset.iter_rows():
        missing.pop(row["output"], None)
        yield row
    for row in missing.values():
        if os.path.exists(row["output"]):  # done, in a block that another picture ended
            yield row
            continue
        reason = "Its worker died, perhaps because memory ran out: run the job again, or this picture alone."
        yield {**row, "reason": reason}


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise NeedsExtra(error, "cluster") from None
    return ray


def _absolute(picture: Picture) -> RayRow:
    """Return a row with absolute paths, because Ray's workers run in folders of their own."""
    mask, reason = ("", picture.mask) if isinstance(picture.mask, str) else (picture.mask.absolute(), "")
    return {
        "composite": str(picture.composite.absolute()),
        "mask": str(mask),
        "output": str(picture.output.absolute()),
        "reason": reason,
        "seconds": 0.0,
        "model": "",
        "worker": "",
    }


def _check_model(name: str) -> None:
    """Raise UnknownModel once, before every picture would fail with it."""
    if name:
        from glihamba.models import registry

        registry.get(name)


def _show(shown: Bar, row: RayRow, done: int, total: int) -> None:
    shown.show("all", f"{done:,} of {total:,}: {Path(row['composite']).name}", done, total)


def _tell(
    count: int, done: list[RayRow], kept: int, failed: list[RayRow], failures: Path, as_json: bool
) -> None:
    if as_json:
        print_json({"done": done, "kept": kept, "failed": failed})
        return
    there = f", {kept:,} were there already" if kept else ""
    say(f"{len(done):,} of {count:,} pictures harmonized{there}.")
    for row in failed[:20]:
        say(f"  {Path(row['composite']).name}: {row['reason']}", err=True)
    if failed:
        say(f"{len(failed):,} failed; {failures} lists them and is a manifest to run again.", err=True)
