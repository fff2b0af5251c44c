"""Real files of every format and depth through the real pipeline, and back."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from cli_pictures import (
    HEIGHT,
    WIDTH,
    encoded,
    harmonized,
    input_only,
    marked,
    save,
    save_mask,
    scene,
    wide_gamut,
)
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from glihamba import image_files, other_files
from glihamba.commands.local import LocalService
from glihamba.file_host import FileHost, read_mask
from glihamba.image_files import BadPicture
from glihamba.srgb import linear_to_srgb
from glihamba_client.harmonize_layer import harmonize_layer, run
from glihamba_client.host import Choice

FORMATS = [
    ("png", "uint8", 3),
    ("png", "uint8", 4),
    ("png", "uint8", 1),
    ("png", "uint8", 2),
    ("png", "uint16", 3),
    ("png", "uint16", 4),
    ("png", "uint16", 1),
    ("tif", "uint8", 3),
    ("tif", "uint16", 4),
    ("tif", "float32", 3),
    ("tif", "float32", 4),
    ("webp", "uint8", 3),
    ("webp", "uint8", 4),
]


@pytest.mark.parametrize(("suffix", "dtype", "channels"), FORMATS)
def test_depth_and_channels_stay_and_only_the_object_changes(
    service: LocalService, tmp_path: Path, suffix: str, dtype: str, channels: int
) -> None:
    before = scene(dtype, channels)
    lossless: dict[str, Any] = {"lossless": True, "exact": True} if suffix == "webp" else {}
    composite = save(tmp_path / f"in.{suffix}", before, **lossless)
    host = harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / f"out.{suffix}")
    after = image_files.read(tmp_path / f"out.{suffix}").pixels
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    outside = marked() == 0
    assert np.array_equal(after[outside], before[outside])
    inside = np.abs(after[~outside].astype(float) - before[~outside].astype(float))
    colours = 1 if channels < 3 else 3
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    assert inside[:, :colours].mean() > 0.02 * full
    assert np.array_equal(after[..., colours:], before[..., colours:])  # alpha
    assert host.messages == []


def test_sixteen_bits_are_not_rounded_to_eight(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene("uint16"))
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    inside = image_files.read(tmp_path / "out.png").pixels[marked() > 0]
    assert len(np.unique(inside % 257)) > 100


def test_jpeg_is_written_well(service: LocalService, tmp_path: Path) -> None:
    save(tmp_path / "in.jpg", scene(), Q=95)
    harmonized(service, tmp_path / "in.jpg", save_mask(tmp_path / "mask.png"), tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert isinstance(image, JpegImageFile)
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # 4:4:4
    before, after = (image_files.read(tmp_path / name).pixels.astype(int) for name in ("in.jpg", "out.jpg"))
    assert np.abs(before - after)[marked() == 0].mean() < 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_wide_gamut_profile_is_honoured_and_kept(service: LocalService, tmp_path: Path, dtype: str) -> None:
    """A green outside sRGB must survive inside the mask, where no colour may be clipped."""
    before, full = scene(dtype), np.iinfo(dtype).max
    before[14:18, 20:28] = np.array([0.05, 0.95, 0.05]) * full
    composite = save(tmp_path / "in.png", before, wide_gamut())
    mask = save_mask(tmp_path / "mask.png")
    host = FileHost(composite, mask, tmp_path / "out.png")
    capture = run(host.capture())
    assert (capture.composite.sample_type, capture.composite.transfer) == ("float32", "linear")
    assert np.frombuffer(capture.composite.data, "<f4").min() < -0.01  # beyond sRGB, unclipped
    run(harmonize_layer(host, service, Choice(strength=0.0)))
    picture = image_files.read(tmp_path / "out.png")
    assert picture.profile == wide_gamut()
    error = np.abs(picture.pixels.astype(int) - before.astype(int))
    assert error[marked() == 0].max() == 0
    assert error.max() <= (1 if dtype == "uint8" else 2)
    harmonized(service, composite, mask, tmp_path / "out.png")
    after = image_files.read(tmp_path / "out.png").pixels.astype(float)
    assert np.abs(after - before)[marked() > 0].mean() > 0.02 * full


def test_srgb_by_profile_travels_as_it_is(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    composite = save(tmp_path / "in.png", scene(), profile)
    host = FileHost(composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    capture = run(host.capture())
    assert (capture.composite.sample_type, capture.composite.transfer) == ("uint8", "srgb")
    assert bytes(capture.composite.data) == scene().tobytes()


@pytest.mark.parametrize(("suffix", "orientation"), [("jpg", 6), ("jpg", 3), ("png", 8), ("tif", 6)])
def test_the_mask_fits_the_picture_as_displayed(
    service: LocalService, tmp_path: Path, suffix: str, orientation: int
) -> None:
    turns = {6: 1, 3: 2, 8: 3}[orientation]
    stored = Image.fromarray(np.rot90(scene(), turns))
    tags: dict[str, Any] = {}
    if suffix == "tif":
        tags["tiffinfo"] = {274: orientation}
    else:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = orientation, "a teapot"
        tags["exif"] = exif
    if suffix == "jpg":
        tags |= {"quality": 95, "subsampling": 0}
    stored.save(tmp_path / f"in.{suffix}", **tags)
    output = tmp_path / f"out.{suffix}"
    harmonized(service, tmp_path / f"in.{suffix}", save_mask(tmp_path / "mask.png"), output)
    with Image.open(output) as image:
        assert image.size == (WIDTH, HEIGHT)
        assert image.getexif().get(0x0112, 1) == 1
        if suffix != "tif":
            assert str(image.getexif()[0x010E]).startswith("a teapot")
        after = np.array(image).astype(int)
    change = np.abs(after - scene().astype(int)).mean(axis=2)
    assert change[marked() > 0].mean() > 5 * change[marked() == 0].mean() + 5


def test_xmp_and_resolution_are_kept(service: LocalService, tmp_path: Path) -> None:
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- mine --></x:xmpmeta>"
    image = pyvips.Image.new_from_array(scene(), interpretation="srgb").copy(xres=11.811, yres=11.811)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    image.write_to_file(str(tmp_path / "in.tif"))
    harmonized(service, tmp_path / "in.tif", save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    after = pyvips.Image.new_from_file(str(tmp_path / "out.tif"))
    assert after.get("xmp-data") == xmp
    assert after.xres == pytest.approx(11.811, rel=1e-3)


def masks() -> dict[str, tuple[bytes, np.ndarray]]:
    """Masks of many kinds, each with the coverage that must be read from it."""
    gray, hard = marked(), marked(soft=False)
    picture = Image.fromarray(scene())
    cut_out = picture.copy()
    cut_out.putalpha(Image.fromarray(gray))
    opaque = Image.merge("RGB", [Image.fromarray(gray)] * 3)
    opaque.putalpha(255)
    floats = (gray / 255).astype("f4")
    return {
        "gray.png": (encoded(Image.fromarray(gray), "PNG"), gray),
        "gray.tif": (encoded(Image.fromarray(gray), "TIFF"), gray),
        "rgb.png": (encoded(Image.merge("RGB", [Image.fromarray(gray)] * 3), "PNG"), gray),
        "opaque-rgba.png": (encoded(opaque, "PNG"), gray),
        "cut-out.png": (encoded(cut_out, "PNG"), gray),
        "cut-out.webp": (encoded(cut_out, "WEBP"), gray),
        "bits.png": (encoded(Image.fromarray(hard).convert("1"), "PNG"), hard),
        "bits.tif": (encoded(Image.fromarray(hard).convert("1"), "TIFF"), hard),
        "palette.png": (encoded(Image.fromarray(hard).convert("P"), "PNG"), hard),
        "sixteen.png": (encoded(Image.fromarray(gray.astype("u2") * 257), "PNG"), gray.astype("u2") * 257),
        "float.tif": (encoded(Image.fromarray(floats), "TIFF"), floats),
    }


@pytest.mark.parametrize("name", list(masks()))
def test_masks_of_every_kind(tmp_path: Path, name: str) -> None:
    data, coverage = masks()[name]
    (tmp_path / name).write_bytes(data)
    mask = read_mask(tmp_path / name)
    assert mask.dtype == coverage.dtype
    assert np.array_equal(mask, coverage)


def test_palette_composite_becomes_rgb(service: LocalService, tmp_path: Path) -> None:
    Image.fromarray(scene()).convert("P").save(tmp_path / "in.png")
    harmonized(service, tmp_path / "in.png", save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    before, after = (image_files.read(tmp_path / name).pixels for name in ("in.png", "out.png"))
    assert after.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(after[marked() == 0], before[marked() == 0])


def test_less_depth_in_the_output_is_said(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.tif", scene("float32"))
    host = harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert host.messages == [".png holds 16 bits a channel, so the result is rounded."]
    after = image_files.read(tmp_path / "out.png").pixels
    expected = np.rint(linear_to_srgb(scene("float32")) * 65535)
    assert after.dtype == np.uint16
    assert np.abs(after - expected)[marked() == 0].max() <= 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_the_mode_of_a_replaced_file_stays(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene())
    output = tmp_path / "out.png"
    output.write_bytes(b"old")
    output.chmod(0o640)
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), output)
    assert output.stat().st_mode & 0o777 == 0o640


def test_names_with_brackets_and_umlauts(service: LocalService, tmp_path: Path) -> None:
    """libvips would read options from square brackets in a name, so it must not get the name."""
    composite = save(tmp_path / "in.png", scene()).rename(tmp_path / "Bär [2].png")
    harmonized(service, composite, save_mask(tmp_path / "mask[1].png"), tmp_path / "aus [3].png")
    assert (tmp_path / "aus [3].png").is_file()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_wide_gamut_with_transparency(service: LocalService, tmp_path: Path, dtype: str) -> None:
    before = scene(dtype, 4)
    composite = save(tmp_path / "in.tif", before, wide_gamut())
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    after = image_files.read(tmp_path / "out.tif")
    assert after.profile == wide_gamut()
    assert after.pixels.dtype == before.dtype
    assert np.array_equal(after.pixels[..., 3], before[..., 3])
    assert np.array_equal(after.pixels[marked() == 0], before[marked() == 0])
    assert not np.array_equal(after.pixels, before)


def test_a_profile_for_reading_only_is_refused_before_the_work(tmp_path: Path) -> None:
    """The profile can be read, but the result cannot be written with it."""
    composite = save(tmp_path / "in.tif", scene(), input_only())
    host = FileHost(composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    with pytest.raises(BadPicture) as refused:
        run(host.capture())
    assert str(refused.value) == (
        f"{composite} has a colour profile that can be read but not written: convert it to sRGB first."
    )


def test_gray_stays_gray_in_jpeg(service: LocalService, tmp_path: Path) -> None:
    save(tmp_path / "in.jpg", scene(channels=1))
    harmonized(service, tmp_path / "in.jpg", save_mask(tmp_path / "mask.png"), tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.mode == "L"


@pytest.mark.parametrize(("dtype", "error"), [("uint8", 4), ("uint16", 4), ("float32", 1e-6)])
@pytest.mark.parametrize("is_big", [False, True])
def test_premultiplied_tiff_is_read_as_straight(
    service: LocalService, tmp_path: Path, dtype: str, error: float, is_big: bool
) -> None:
    """Premultiplied 8-bit colour is not exact. Taken as straight colour it would be wrong by hundreds."""
    straight = scene(dtype, 4)
    kind = {"uint8": "srgb", "uint16": "rgb16", "float32": "scrgb"}[dtype]
    image = pyvips.Image.new_from_array(straight, interpretation=kind)
    image.tiffsave(str(tmp_path / "in.tif"), premultiply=True, bigtiff=is_big)
    assert tiff_tag(tmp_path / "in.tif", 338) == 1, "associated alpha"
    read = image_files.read(tmp_path / "in.tif").pixels
    assert np.abs(read.astype(float) - straight).max() <= error
    harmonized(service, tmp_path / "in.tif", save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    after = image_files.read(tmp_path / "out.tif").pixels
    assert tiff_tag(tmp_path / "out.tif", 338) == 2, "straight alpha"
    assert np.array_equal(after[marked() == 0], read[marked() == 0])
    assert np.array_equal(after[:, :, 3], read[:, :, 3])


def tiff_tag(path: Path, tag: int) -> int:
    return dict(other_files._first_tags(path.read_bytes()))[tag][0]


@pytest.mark.parametrize("order", ["little", "big"])
def test_bigtiff_is_read_with_its_metadata(service: LocalService, tmp_path: Path, order: str) -> None:
    before = scene("uint16")
    path = big_tiff(tmp_path / "in.tif", before, order)
    assert np.array_equal(image_files.read(path).pixels, before)
    harmonized(service, path, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    after = image_files.read(tmp_path / "out.tif").pixels
    assert np.array_equal(after[marked() == 0], before[marked() == 0])
    assert not np.array_equal(after, before)
    for name in ("out.tif", "out.jpg"):
        harmonized(service, path, save_mask(tmp_path / "mask.png"), tmp_path / name)
        with Image.open(tmp_path / name) as image:
            found = image.getexif()
            assert found[0x013B] == "Ada Lovelace"
            assert found.get_ifd(0x8769)[0x8827] == 400, "the speed, of the directory within"


def big_tiff(path: Path, pixels: np.ndarray, order: str) -> Path:
    """An uncompressed BigTIFF of 16-bit colours with an artist, in that byte order."""
    sign = "<" if order == "little" else ">"
    height, width, _ = pixels.shape
    data = pixels.astype(f"{sign}u2").tobytes()
    artist = b"Ada Lovelace\0".ljust(16, b"\0")
    speed = struct.pack(sign + "H", 400).ljust(8, b"\0")
    exif = struct.pack(sign + "QHHQ", 1, 0x8827, 3, 1) + speed + bytes(8)
    begin = 16 + 8 + 20 * 11 + 8
    exif_at, data_at = begin + len(artist), begin + len(artist) + len(exif)
    entries: list[tuple[int, int, int, bytes]] = [
        (256, 3, 1, struct.pack(sign + "H", width)),
        (257, 3, 1, struct.pack(sign + "H", height)),
        (258, 3, 3, struct.pack(sign + "3H", 16, 16, 16)),
        (259, 3, 1, struct.pack(sign + "H", 1)),
        (262, 3, 1, struct.pack(sign + "H", 2)),
        (273, 16, 1, struct.pack(sign + "Q", data_at)),
        (277, 3, 1, struct.pack(sign + "H", 3)),
        (278, 3, 1, struct.pack(sign + "H", height)),
        (279, 16, 1, struct.pack(sign + "Q", len(data))),
        (0x013B, 2, 13, struct.pack(sign + "Q", begin)),
        (0x8769, 18, 1, struct.pack(sign + "Q", exif_at)),
    ]
    made = (b"II" if order == "little" else b"MM") + struct.pack(sign + "HHHQ", 43, 8, 0, 16)
    made += struct.pack(sign + "Q", len(entries))
    for tag, kind, count, value in entries:
        made += struct.pack(sign + "HHQ", tag, kind, count) + value.ljust(8, b"\0")
    path.write_bytes(made + bytes(8) + artist + exif + data)
    return path


def test_a_note_says_that_a_large_webp_is_slow(
    service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composite, mask = save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")
    said = {}
    for pixels in (WIDTH * HEIGHT, WIDTH * HEIGHT + 1):
        monkeypatch.setattr(image_files, "_SLOW_PIXELS", pixels)
        for name in ("out.webp", "out.png"):
            said[name, pixels] = harmonized(service, composite, mask, tmp_path / name).messages
    assert said.pop(("out.webp", WIDTH * HEIGHT)) == [
        (
            "Lossless WebP takes about a second a megapixel to write. "
            "PNG holds the same picture and is written about twenty times faster."
        )
    ]
    assert list(said.values()) == [[], [], []]
