"""Pictures, masks and files for the tests of files, and the command as a person runs it."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from glihamba.cli import cli, complain
from glihamba.commands.local import LocalService
from glihamba.file_host import FileHost
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import harmonize_layer, run
from glihamba_client.host import Choice

WIDTH, HEIGHT = 48, 32


def scene(dtype: str = "uint8", channels: int = 3) -> np.ndarray:
    """A dark blue scene with a bright orange rectangle, at the full scale of `dtype`."""
    random = np.random.default_rng(3)
    value = np.array([0.15, 0.22, 0.4]) + random.normal(0, 0.03, (HEIGHT, WIDTH, 3))
    value[8:24, 12:36] = np.array([0.85, 0.6, 0.3]) + random.normal(0, 0.03, (16, 24, 3))
    value[8:24, 12:36] += np.linspace(-0.1, 0.1, 24)[:, None]  # also without colours it is no flat patch
    if channels < 3:
        value = value.mean(axis=2, keepdims=True)
    if channels in (2, 4):
        alpha = np.linspace(0.3, 1, WIDTH)[None, :, None].repeat(HEIGHT, 0)
        value = np.concatenate([value, alpha], axis=2)
    value = np.clip(value, 0, 1)
    return value.astype("f4") if dtype == "float32" else np.rint(value * np.iinfo(dtype).max).astype(dtype)


def marked(soft: bool = True) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[8:24, 12:36] = 255
    if soft:
        mask[8, 12:36] = 100
    return mask


def save(path: Path, pixels: np.ndarray, profile: bytes = b"", **options: Any) -> Path:
    """Write with libvips directly, so that our own writer does not test itself."""
    bands = pixels.shape[2]
    names = {"uint8": ("b-w", "srgb"), "uint16": ("grey16", "rgb16"), "float32": ("b-w", "scrgb")}
    image = pyvips.Image.new_from_array(pixels, interpretation=names[pixels.dtype.name][bands > 2])
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.write_to_file(str(path), **options)
    return path


def save_mask(path: Path, mask: np.ndarray | None = None) -> Path:
    Image.fromarray(marked() if mask is None else mask).save(path)
    return path


def harmonized(service: LocalService, composite: Path, mask: Path, output: Path) -> FileHost:
    host = FileHost(composite, mask, output)
    run(harmonize_layer(host, service, Choice("statistics-full")))
    return host


def words(service: LocalService, composite: Path, mask: Path, output: Path) -> str:
    """Return the sentence of a call that must fail and leave no file behind."""
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    with pytest.raises(ClientError) as failure:
        harmonized(service, composite, mask, output)
    assert (sorted(output.parent.iterdir()) if output.parent.is_dir() else []) == before
    return failure.value.sentence("en")


def wide_gamut() -> bytes:
    """An ICC profile with Rec. 2020's primaries and a gamma of 2.2."""

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))

    curve = gamma(2.2)
    primaries = {
        b"rXYZ": xyz(0.67348, 0.27904, -0.00194),
        b"gXYZ": xyz(0.16566, 0.67534, 0.02998),
        b"bXYZ": xyz(0.12505, 0.04562, 0.79687),
    }
    return _profile(b"mntr", {**primaries, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def gray_profile(curve: bytes) -> bytes:
    """A gray ICC profile with that curve, a `curv` or `para` tag."""
    return _profile(b"mntr", {b"kTRC": curve}, b"GRAY")


def gamma(value: float) -> bytes:
    """A curve of ICC: a power."""
    return b"para" + bytes(4) + (0).to_bytes(2, "big") + bytes(2) + _fixed(value)


def curve_of(values: Any) -> bytes:
    """A curve of ICC: a table of values from 0 to 1."""
    numbers = np.rint(np.asarray(values) * 65535).astype(">u2")
    return b"curv" + bytes(4) + len(numbers).to_bytes(4, "big") + numbers.tobytes()


def input_only() -> bytes:
    """A scanner's ICC profile: a table from RGB to XYZ, linear with sRGB's primaries, but no table back."""

    def words(values: Any) -> bytes:
        return np.asarray(values).astype(">u2").tobytes()

    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(8, 3)
    to_xyz = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
    table = np.rint(corners @ np.array(to_xyz) * 32768)
    line = words([0, 65535] * 3)
    matrix = b"".join(map(_fixed, np.eye(3).ravel()))
    sizes = bytes([3, 3, 2, 0]) + matrix + words([2, 2])
    return _profile(b"scnr", {b"A2B0": b"mft2" + bytes(4) + sizes + line + words(table) + line})


def _fixed(value: float) -> bytes:
    return round(value * 65536).to_bytes(4, "big", signed=True)


def _profile(kind: bytes, tags: dict[bytes, bytes], space: bytes = b"RGB ") -> bytes:
    """A profile of that class and space, written byte by byte as the ICC format says."""

    def text(value: str) -> bytes:
        raw = value.encode("utf-16-be")
        return (
            b"mluc"
            + bytes(4)
            + (1).to_bytes(4, "big")
            + (12).to_bytes(4, "big")
            + b"enUS"
            + len(raw).to_bytes(4, "big")
            + (28).to_bytes(4, "big")
            + raw
        )

    white = b"XYZ " + bytes(4) + b"".join(map(_fixed, (0.9642, 1.0, 0.8249)))
    tags = {b"desc": text("A test's"), b"cprt": text("CC0"), b"wtpt": white, **tags}
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    header = (offset + len(body)).to_bytes(4, "big") + bytes(4) + b"\x04\x30\x00\x00" + kind + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return header.ljust(128, b"\0") + len(tags).to_bytes(4, "big") + table + body


def encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def glihamba(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glihamba", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def here(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, so that torch is imported only once."""
    out, err, command = io.StringIO(), io.StringIO(), list(map(str, words))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(command, prog_name="glihamba", standalone_mode=False) or 0
        except Exception as error:
            status = complain(error)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def as_json(*words: object, status: int = 0) -> Any:
    done = here(*words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def begun(*words: object, program: Sequence[str] = ("-m", "glihamba")) -> subprocess.Popen[str]:
    """Start the command. `program` is the Python code to run as the command."""
    command = [sys.executable, *program, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupted(process: subprocess.Popen[str], when: Callable[[], object]) -> tuple[str, str]:
    """Send Ctrl-C as soon as `when()` is true. Returns what the command prints on both streams."""
    try:
        while not when() and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, said = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, said
    return out, said
