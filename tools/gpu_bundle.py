"""Pack code and a fixed share of the photographs for a machine with a graphics card. See gpu.py."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from gpu_machine import REPOSITORY, GpuError

BUNDLE_MB = 60
INSIDE = "glihamba"  # the bundle's folder
ROOM_FOR_TARS = 20_480  # bytes that the tars themselves take, at most


def pack(output: Path, photos: Path, megabytes: float) -> list[str]:
    """Write the last commit, val.tar and a share of the training photographs; returns lines that say what.

    The share is fixed: photographs in the order of their names' SHA-256, as many as fit. Its size and the
    bundle's unpacked size stay below `megabytes`. Raises GpuError.
    """
    if not (photos / "val.tar").is_file() or not (photos / "manifest.csv").is_file():
        raise GpuError(f"{photos} lacks val.tar or manifest.csv: give the folder of the photographs' tars.")
    code = git("archive", "--format=tar", "HEAD")
    files = {path: f"photos/{path.name}" for path in (photos / "manifest.csv", photos / "val.tar")}
    lights = [path for folder in (photos, photos.parent) for path in sorted(folder.glob("illuminations/*"))]
    files |= {path: f"photos/illuminations/{path.name}" for path in lights}
    taken = len(code) + sum(path.stat().st_size + 1024 for path in files)
    names, share = share_of(sorted(photos.glob("train*.tar")), int(megabytes * 1e6) - taken - ROOM_FOR_TARS)
    if not names:
        raise GpuError(
            f"{megabytes:g} MB hold no photographs beside code and val.tar: give more --megabytes."
        )
    about = {"commit": git("rev-parse", "--short", "HEAD").decode().strip(), "photographs": len(names)}
    with (
        gzip.GzipFile(output, "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as bundle,
        tarfile.open(fileobj=io.BytesIO(code)) as archive,
    ):
        for member in archive:
            content = archive.extractfile(member)
            member.name = f"{INSIDE}/{member.name}"
            bundle.addfile(member, content)
        for path, name in files.items():
            add(bundle, f"{INSIDE}/{name}", path.read_bytes())
        add(bundle, f"{INSIDE}/photos/train-share.tar", share)
        add(bundle, f"{INSIDE}/bundle.json", json.dumps(about).encode())
    size = output.stat().st_size / 1e6
    if size > megabytes:
        output.unlink()
        raise GpuError(f"The bundle would have {size:.1f} MB: give more --megabytes.")
    lines = [
        f"{output}: {size:.1f} MB, {(taken + len(share)) / 1e6:.1f} MB unpacked, {len(names):,} photographs"
    ]
    if git("status", "--porcelain", "--untracked-files=no"):
        lines.append("Changes that are not committed are not in it.")
    return lines


def share_of(shards: Sequence[Path], budget: int) -> tuple[list[str], bytes]:
    """The names of the photographs in the share, and its tar of at most `budget` bytes, always the same."""
    found: dict[str, dict[str, bytes]] = {}
    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                if (stream := tar.extractfile(member)) is not None:
                    found.setdefault(member.name.partition(".")[0], {})[member.name] = stream.read()
    names: list[str] = []
    for name in sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest()):
        budget -= sum(512 + -(-len(content) // 512) * 512 for content in found[name].values())
        if budget < tarfile.RECORDSIZE:
            break
        names.append(name)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(names):
            for part, content in sorted(found[name].items()):
                add(tar, part, content)
    return names, stream.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # without owner and date, so that the same content gives the same bytes
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def git(*words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True)
    if done.returncode:
        raise GpuError(f"git {words[0]} failed here: run `pack` in a git checkout.")
    return done.stdout
