"""Real files of every format and depth through the real pipeline, and back."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from glihamba import image_files, settings
from glihamba.commands.local import LocalService
from glihamba.file_host import FileHost, read_mask
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import harmonize_layer, run
from glihamba_client.messages import sentence

WIDTH, HEIGHT = 48, 32


@pytest.fixture(scope="module")
def service() -> LocalService:
    return LocalService(settings.load({}, device="cpu"))


def scene(dtype: str = "uint8", channels: int = 3) -> np.ndarray:
    """A dark blue scene with a bright orange rectangle, at the full scale of `dtype`."""
    random = np.random.default_rng(3)
    value = np.array([0.15, 0.22, 0.4]) + random.normal(0, 0.03, (HEIGHT, WIDTH, 3))
    value[8:24, 12:36] = np.array([0.85, 0.6, 0.3]) + random.normal(0, 0.03, (16, 24, 3))
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
    """Write with libvips directly, so that the files are not of our own making."""
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
    run(harmonize_layer(host, service, model="statistics-full"))
    return host


def words(service: LocalService, composite: Path, mask: Path, output: Path) -> str:
    """What the person reads when it fails; nothing may be left behind."""
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    with pytest.raises(ClientError) as failure:
        harmonized(service, composite, mask, output)
    assert (sorted(output.parent.iterdir()) if output.parent.is_dir() else []) == before
    return sentence(failure.value, "en")


def wide_gamut() -> bytes:
    """An ICC profile with Rec. 2020's primaries and a gamma of 2.2, written by hand as the format says."""

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

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

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(map(fixed, values))

    curve = b"para" + bytes(4) + (0).to_bytes(2, "big") + bytes(2) + fixed(2.2)
    tags = {
        b"desc": text("Wide"),
        b"cprt": text("CC0"),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.67348, 0.27904, -0.00194),
        b"gXYZ": xyz(0.16566, 0.67534, 0.02998),
        b"bXYZ": xyz(0.12505, 0.04562, 0.79687),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    header = (offset + len(body)).to_bytes(4, "big") + bytes(4) + b"\x04\x30\x00\x00mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + len(tags).to_bytes(4, "big") + table + body


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
    lossless = {"lossless": True, "exact": True} if suffix == "webp" else {}
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
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # 4:4:4
    before, after = (image_files.read(tmp_path / name).pixels.astype(int) for name in ("in.jpg", "out.jpg"))
    assert np.abs(before - after)[marked() == 0].mean() < 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_wide_gamut_profile_is_honoured_and_kept(service: LocalService, tmp_path: Path, dtype: str) -> None:
    """A green that sRGB does not have must survive inside the mask, where nothing may be clipped."""
    before, full = scene(dtype), np.iinfo(dtype).max
    before[14:18, 20:28] = np.array([0.05, 0.95, 0.05]) * full
    composite = save(tmp_path / "in.png", before, wide_gamut())
    mask = save_mask(tmp_path / "mask.png")
    host = FileHost(composite, mask, tmp_path / "out.png")
    capture = host.capture()
    assert (capture.composite.sample_type, capture.composite.transfer) == ("float32", "linear")
    assert np.frombuffer(capture.composite.data, "<f4").min() < -0.01  # beyond sRGB, unclipped
    run(harmonize_layer(host, service, strength=0.0))
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
    capture = FileHost(composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png").capture()
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
    stored.save(
        tmp_path / f"in.{suffix}", **({"quality": 95, "subsampling": 0} if suffix == "jpg" else {}), **tags
    )
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


def encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def masks() -> dict[str, tuple[bytes, np.ndarray]]:
    """Many ways to say the same; with each, the coverage it must be read as."""
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
    expected = np.rint(image_files.srgb_encoded(scene("float32")) * 65535)
    assert after.dtype == np.uint16
    assert np.abs(after - expected)[marked() == 0].max() <= 1


def damaged() -> dict[str, tuple[bytes, str]]:
    large = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    return {
        "zero.png": (b"", "is empty (0 bytes): it was probably never copied whole."),
        "text.png": (b"hello", "is not a PNG, JPEG, TIFF or WebP picture: convert it to one of these."),
        "gif.png": (encoded(large, "GIF"), "is not a PNG, JPEG, TIFF or WebP picture"),
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
            marked(soft=False) // 255,
            "is black almost everywhere (its brightest value is 1 of 255): paint the object white.",
        ),
        (marked()[:, :-3], f"is {WIDTH - 3} x {HEIGHT} pixels, but "),
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
        tmp_path / "out.gif": "does not end in .png, .jpg, .jpeg, .tif, .tiff, .webp: name the output after",
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


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_the_mode_of_a_replaced_file_stays(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.png", scene())
    output = tmp_path / "out.png"
    output.write_bytes(b"old")
    output.chmod(0o640)
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), output)
    assert output.stat().st_mode & 0o777 == 0o640


def test_names_with_brackets_and_umlauts(service: LocalService, tmp_path: Path) -> None:
    """libvips reads options from square brackets in names; ours never reach it."""
    composite = save(tmp_path / "in.png", scene()).rename(tmp_path / "Bär [2].png")
    harmonized(service, composite, save_mask(tmp_path / "mask[1].png"), tmp_path / "aus [3].png")
    assert (tmp_path / "aus [3].png").is_file()
