"""AVIF pictures are read as they are meant, and their results get another format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from cli_pictures import encoded, glihamba, harmonized, marked, save_mask, scene, wide_gamut, words
from PIL import Image

from glihamba import image_files, other_files
from glihamba.commands.local import LocalService

pytestmark = pytest.mark.skipif(not image_files._READS_AVIF, reason="this libvips has no AVIF")


def avif(path: Path, pixels: np.ndarray, profile: bytes = b"", **options: Any) -> Path:
    kind = "rgb16" if pixels.dtype == np.uint16 else "srgb"
    image = pyvips.Image.new_from_array(pixels, interpretation=kind)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.heifsave(str(path), compression="av1", Q=95, subsample_mode="off", **options)
    return path


@pytest.mark.parametrize(("dtype", "channels", "bits"), [("uint8", 3, 8), ("uint8", 4, 8), ("uint16", 3, 12)])
def test_depth_and_channels_are_kept(
    service: LocalService, tmp_path: Path, dtype: str, channels: int, bits: int
) -> None:
    before, full = scene(dtype, channels), np.iinfo(dtype).max
    composite = avif(tmp_path / "in.avif", before, wide_gamut(), bitdepth=bits)
    read = image_files.read(composite)
    assert (read.pixels.dtype, read.pixels.shape, read.profile) == (before.dtype, before.shape, wide_gamut())
    assert np.abs(read.pixels.astype(float) - before).mean() < 0.02 * full
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    after = image_files.read(tmp_path / "out.png")
    assert after.profile == wide_gamut()
    assert after.pixels.dtype == before.dtype
    assert np.array_equal(after.pixels[marked() == 0], read.pixels[marked() == 0])
    assert not np.array_equal(after.pixels, read.pixels)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_turned_once_and_keeps_exif(service: LocalService, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = orientation, "Ada"
    upright = Image.fromarray(scene())
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    upright.transpose(turn[orientation]).save(tmp_path / "in.avif", exif=exif, quality=95)
    read = image_files.read(tmp_path / "in.avif")
    assert np.abs(read.pixels.astype(float) - scene()).mean() < 6
    harmonized(service, tmp_path / "in.avif", save_mask(tmp_path / "mask.png"), tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == upright.size
        found = image.getexif()
    assert found[0x013B] == "Ada"
    assert found.get(0x0112, 1) == 1


def test_an_output_of_that_format_is_refused(service: LocalService, tmp_path: Path) -> None:
    composite = avif(tmp_path / "in.avif", scene())
    said = words(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.avif")
    assert said.endswith("name the output after its format.")


@pytest.mark.parametrize(
    ("primaries", "transfer", "is_read"), [(1, 13, True), (9, 16, False), (12, 13, False)]
)
def test_light_other_than_srgbs_is_refused(
    service: LocalService, tmp_path: Path, primaries: int, transfer: int, is_read: bool
) -> None:
    """HDR, and Display P3 without a profile, would be taken for sRGB."""
    data = bytearray(encoded(Image.fromarray(scene()), "AVIF"))
    at = data.find(b"colrnclx")
    assert at > 0
    data[at + 8 : at + 12] = bytes((0, primaries, 0, transfer))
    (tmp_path / "in.avif").write_bytes(data)
    mask, output = save_mask(tmp_path / "mask.png"), tmp_path / "out.png"
    if is_read:
        harmonized(service, tmp_path / "in.avif", mask, output)
        assert output.exists()
        return
    assert words(service, tmp_path / "in.avif", mask, output) == (
        f"{tmp_path / 'in.avif'} has its colours described by numbers (primaries {primaries}, transfer "
        f"{transfer}) that are not sRGB's: export it as PNG or TIFF with a profile first."
    )


def test_a_folder_run_writes_png(own_home: Path, tmp_path: Path) -> None:
    for name in ("composites", "masks"):
        (tmp_path / name).mkdir()
    avif(tmp_path / "composites" / "a.avif", scene())
    save_mask(tmp_path / "masks" / "a.png")
    places = [tmp_path / "composites", "--mask", tmp_path / "masks", "-o", tmp_path / "out"]
    done = glihamba("harmonize", *places, "--local", "--model", "statistics", "--json")
    assert done.returncode == 0, done.stderr
    assert [Path(one["output"]).name for one in json.loads(done.stdout)["done"]] == ["a.avif.png"]
    assert (tmp_path / "out" / "a.avif.png").read_bytes().startswith(b"\x89PNG")


def test_brands() -> None:
    assert other_files.is_avif(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(40))
    assert not other_files.is_avif(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"avif" + bytes(40))
    assert not other_files.is_avif(b"\0\0\0\x18ftypavis\0\0\0\0avifmif1" + bytes(40))
