"""Unusable files, masks and outputs: each gets one sentence, and no file is lost."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from cli_pictures import HEIGHT, WIDTH, encoded, harmonized, marked, save, save_mask, scene, words
from PIL import Image

from glihamba import image_files
from glihamba.commands.local import LocalService


def damaged() -> dict[str, tuple[bytes, str]]:
    large = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    return {
        "zero.png": (b"", "is empty (0 bytes): get a whole copy of it."),
        "text.png": (b"hello", "is not a PNG, JPEG, TIFF, WebP or AVIF picture: convert it to one of these."),
        "gif.png": (encoded(large, "GIF"), "is a GIF picture: export it as PNG or TIFF first."),
        "half.png": (encoded(large, "PNG")[:20000], "is damaged or cut short"),
        "half.jpg": (encoded(large, "JPEG")[:4000], "is damaged or cut short"),
        "half.tif": (encoded(large, "TIFF")[:3000], "is damaged or cut short"),
        "half.webp": (encoded(large, "WEBP")[:1000], "is damaged or cut short"),
        "stub.png": (b"\x89PNG\r\n\x1a\n", "is damaged or cut short"),
        "cmyk.jpg": (encoded(large.convert("CMYK"), "JPEG"), "is a CMYK picture: convert it to RGB first."),
    }


@pytest.mark.parametrize("name", list(damaged()))
def test_a_bad_composite_is_named(service: LocalService, tmp_path: Path, name: str) -> None:
    data, expected = damaged()[name]
    (tmp_path / name).write_bytes(data)
    said = words(service, tmp_path / name, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert said.startswith(str(tmp_path / name))
    assert expected in said


def test_a_small_file_with_a_huge_picture_is_refused_unopened(service: LocalService, tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = struct.pack(">IIBBBBB", 100_000, 90_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    huge = tmp_path / "huge.png"
    huge.write_bytes(data + chunk(b"IEND", b""))
    assert words(service, huge, save_mask(tmp_path / "mask.png"), tmp_path / "out.png") == (
        f"{huge} has 100000 x 90000 pixels, but at most 150,000,000 are allowed: "
        "make it smaller, or raise GLIHAMBA_PIXEL_LIMIT and run `glihamba stop`."
    )


def test_a_folder_for_a_mask(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene())
    (tmp_path / "masks").mkdir()
    said = words(service, composite, tmp_path / "masks", tmp_path / "out.png")
    assert said == f"{tmp_path / 'masks'} is a folder: name a picture in it."


def test_a_bad_mask_is_named(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene())
    (tmp_path / "mask.png").write_bytes(b"")
    assert "mask.png is empty" in words(service, composite, tmp_path / "mask.png", tmp_path / "out.png")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), "The mask is empty: nothing is marked as the object."),
        (np.full((HEIGHT, WIDTH), 255, np.uint8), "covers the whole"),
        (
            marked(soft=False) // 255 * 2,
            "is black almost everywhere (its brightest value is 2 of 255): paint the object white.",
        ),
        (
            marked()[:, :-3],
            f"The mask is {WIDTH - 3} x {HEIGHT} pixels and the composite is {WIDTH} x {HEIGHT} pixels. ",
        ),
    ],
    ids=["empty", "full", "labels", "size"],
)
def test_masks_that_make_no_sense(
    service: LocalService, tmp_path: Path, mask: np.ndarray, expected: str
) -> None:
    composite = save(tmp_path / "in.png", scene())
    assert expected in words(service, composite, save_mask(tmp_path / "mask.png", mask), tmp_path / "out.png")


def test_outputs_that_make_no_sense(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene(channels=4))
    mask = save_mask(tmp_path / "mask.png")
    cases = {
        tmp_path
        / "out.gif": "does not end in .png, .jpg, .jpeg, .jfif, .tif, .tiff, .webp: name the output after",
        tmp_path / "nowhere" / "out.png": "make it first, or choose another output.",
        composite: "The output would overwrite",
        mask: "The output would overwrite",
        tmp_path / "out.jpg": "cannot hold transparency: choose .png, .tif or .webp for the output.",
    }
    for output, expected in cases.items():
        assert expected in words(service, composite, mask, output)
    assert np.array_equal(image_files.read(composite).pixels, scene(channels=4))


def test_not_a_number(service: LocalService, tmp_path: Path) -> None:
    pixels = scene("float32")
    pixels[0, 0, 0] = np.nan
    composite = save(tmp_path / "in.tif", pixels)
    assert "NaN" in words(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_shapes(service: LocalService, tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.resize(scene(), (*shape, 3)).copy()
    mask = np.zeros(shape, np.uint8)
    mask.reshape(-1)[: max(1, mask.size // 3)] = 255
    composite = save(tmp_path / "in.png", pixels)
    if shape == (1, 1):
        said = words(service, composite, save_mask(tmp_path / "mask.png", mask), tmp_path / "out.png")
        assert "whole" in said
        return
    harmonized(service, composite, save_mask(tmp_path / "mask.png", mask), tmp_path / "out.png")
    after = image_files.read(tmp_path / "out.png").pixels
    assert np.array_equal(after[mask == 0], pixels[mask == 0])


def test_too_long_for_webp(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", np.resize(scene(), (1, 20000, 3)).copy())
    said = words(
        service, composite, save_mask(tmp_path / "m.png", np.zeros((1, 20000), np.uint8)), tmp_path / "o.webp"
    )
    assert "can be at most 16383 pixels a side: choose .png or .tif for the output." in said


def test_several_pages_are_refused(service: LocalService, tmp_path: Path) -> None:
    first, second = (Image.fromarray(scene()) for _ in range(2))
    first.save(tmp_path / "in.tif", save_all=True, append_images=[second])
    said = words(service, tmp_path / "in.tif", save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    assert said.endswith("has 2 pages: save the one you mean as a file of its own.")


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can limit a file's size")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    old = tmp_path / "out.png"
    old.write_bytes(b"what was there before")
    program = f"""
import resource, signal
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from glihamba.image_files import BadPicture, replace_file
try:
    replace_file(Path({str(old)!r}), bytes(50_000))
except BadPicture as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == (
        f"{old} was not written, and nothing was lost: there is not enough room on the disk; make some room."
    )
    assert old.read_bytes() == b"what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
