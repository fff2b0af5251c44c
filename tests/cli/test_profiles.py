"""Gray and floats obey their profile: the light that was meant is sent, and the result comes back in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from cli_pictures import (
    curve_of,
    gamma,
    gray_profile,
    harmonized,
    input_only,
    marked,
    save,
    save_mask,
    scene,
    wide_gamut,
    words,
)
from PIL import Image, ImageCms

from glihamba import image_files, simple_profile
from glihamba.commands.local import LocalService
from glihamba.file_host import FileHost
from glihamba.srgb import linear_to_srgb, srgb_to_linear
from glihamba_client.harmonize_layer import harmonize_layer, run
from glihamba_client.host import Choice

STEPS = np.linspace(0, 1, 256)
DOT_GAIN = curve_of(1 - np.clip((1 - STEPS) + 0.8 * (1 - STEPS) * STEPS, 0, 1))  # 20 % at a half
CURVES: dict[str, tuple[bytes, Callable[[Any], Any]]] = {
    "gamma 1.8": (gamma(1.8), lambda value: value**1.8),
    "dot gain": (DOT_GAIN, lambda value: 1 - np.clip((1 - value) + 0.8 * (1 - value) * value, 0, 1)),
    "linear": (curve_of([0, 1]), lambda value: value),
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", CURVES)
def test_gray_is_the_light_that_its_profile_means(
    service: LocalService, tmp_path: Path, name: str, channels: int, dtype: str
) -> None:
    curve, light = CURVES[name]
    before, profile = scene(dtype, channels), gray_profile(curve)
    composite = save(tmp_path / "in.tif", before, profile)
    host = FileHost(composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    sent = run(host.capture()).composite
    assert sent.transfer == "linear"
    pixels = np.frombuffer(sent.data, "<f4").reshape(sent.height, sent.width, -1)
    full = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    for channel in range(3):
        np.testing.assert_allclose(pixels[:, :, channel], light(before[:, :, 0] / full), atol=2e-4)
    run(harmonize_layer(host, service, Choice(strength=0.0)))
    after = image_files.read(tmp_path / "out.tif")
    assert after.profile == profile
    assert after.pixels.dtype == before.dtype
    np.testing.assert_allclose(after.pixels, before, atol=1e-5 * full if full == 1 else 0)
    harmonized(service, composite, tmp_path / "mask.png", tmp_path / "out.tif")
    after = image_files.read(tmp_path / "out.tif")
    assert np.array_equal(after.pixels[marked() == 0], before[marked() == 0])
    assert np.abs(after.pixels.astype(float) - before)[marked() > 0].mean() > 0.01 * full


def test_the_same_light_gets_the_same_correction(service: LocalService, tmp_path: Path) -> None:
    """A picture encoded with a gamma of 1.8 and its sRGB twin are the same picture afterwards, too."""
    mask, light = save_mask(tmp_path / "mask.png"), srgb_to_linear(scene("float32", 1))
    save(tmp_path / "srgb.tif", np.rint(65535 * linear_to_srgb(light)).astype(np.uint16))
    encoded = np.rint(65535 * light ** (1 / 1.8)).astype(np.uint16)
    save(tmp_path / "gamma.tif", encoded, gray_profile(gamma(1.8)))
    found = []
    for name in ("srgb", "gamma"):
        harmonized(service, tmp_path / f"{name}.tif", mask, tmp_path / f"{name}-out.tif")
        value = image_files.read(tmp_path / f"{name}-out.tif").pixels / 65535
        found.append(srgb_to_linear(value) if name == "srgb" else value**1.8)
    # Gray is made of the encoded colours of one result, and of the light of the other.
    np.testing.assert_allclose(found[0], found[1], atol=0.02)
    assert np.abs(found[0] - light).max() > 0.1


def test_gray_as_webp_keeps_its_light(service: LocalService, tmp_path: Path) -> None:
    """WebP has no gray, so it gets colours, and their profile is sRGB's."""
    before = scene("uint8", 1)
    composite = save(tmp_path / "in.png", before, gray_profile(gamma(1.8)))
    harmonized(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.webp")
    after = image_files.read(tmp_path / "out.webp")
    wanted = np.rint(255 * linear_to_srgb((before / 255.0) ** 1.8))
    assert not after.profile
    assert np.abs(after.pixels - wanted)[marked() == 0].max() <= 1


def test_gray_with_the_profile_of_colours_is_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene(channels=1)[:, :, 0]).save(tmp_path / "in.jpg", icc_profile=profile)
    sent = run(FileHost(tmp_path / "in.jpg", save_mask(tmp_path / "mask.png")).capture()).composite
    assert (sent.sample_type, sent.transfer) == ("uint8", "srgb")


def test_gray_in_srgbs_own_curve_travels_as_it_is(tmp_path: Path) -> None:
    curve = gray_profile(curve_of(srgb_to_linear(np.linspace(0, 1, 1024))))
    composite = save(tmp_path / "in.png", scene(channels=1), curve)
    sent = run(FileHost(composite, save_mask(tmp_path / "mask.png")).capture()).composite
    assert (sent.sample_type, sent.transfer) == ("uint8", "srgb")


def test_floats_in_a_wide_gamut_are_converted_without_a_limit(service: LocalService, tmp_path: Path) -> None:
    before = scene("float32", 4)
    before[10:12, 14:18, :3] = [1.7, 0.9, -0.05]  # brighter than white, and beyond the primaries
    composite = save(tmp_path / "in.tif", before, wide_gamut())
    host = FileHost(composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    sent = run(host.capture()).composite
    pixels = np.frombuffer(sent.data, "<f4").reshape(sent.height, sent.width, 4)
    assert sent.transfer == "linear"
    assert pixels[:, :, :3].max() > 1.7**2.2
    assert pixels[:, :, :3].min() < -0.1
    run(harmonize_layer(host, service, Choice(strength=0.0)))
    after = image_files.read(tmp_path / "out.tif")
    assert after.profile == wide_gamut()
    np.testing.assert_allclose(after.pixels, before, atol=2e-5)
    harmonized(service, composite, tmp_path / "mask.png", tmp_path / "out.tif")
    after = image_files.read(tmp_path / "out.tif")
    assert np.array_equal(after.pixels[marked() == 0], before[marked() == 0])
    assert np.abs(after.pixels - before)[marked() > 0].mean() > 0.02


def test_floats_are_converted_as_libvips_converts_integers() -> None:
    steps = np.linspace(0, 65535, 9).astype(np.uint16)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(9, 81, 3)
    image = pyvips.Image.new_from_array(colours, interpretation="rgb16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", wide_gamut())
    linear = image.icc_import(embedded=True, pcs="xyz", intent="relative").colourspace("scrgb").numpy()
    profile = simple_profile.parsed(wide_gamut())
    assert profile is not None
    # libvips has no negative Z, which the primaries of Rec. 2020 have a little of.
    np.testing.assert_allclose(profile.to_srgb(colours / 65535), linear, atol=3e-3)


@pytest.mark.parametrize("kind", range(5))
def test_every_kind_of_curve_and_back(kind: int) -> None:
    fixed = [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0]
    numbers = ([2.2], [1.8, 1.0, 0.0], [2.0, 0.9, 0.05, 0.01], fixed[:5], fixed)[kind]
    body = b"".join(round(number * 65536).to_bytes(4, "big", signed=True) for number in numbers)
    profile = simple_profile.parsed(gray_profile(b"para" + bytes(4) + bytes((0, kind, 0, 0)) + body))
    assert profile is not None
    values = np.linspace(0.02, 3, 400).reshape(1, -1, 1)
    luma = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(profile.from_srgb(profile.to_srgb(values), luma), values, rtol=2e-4)
    if kind > 2:
        within = values[values <= 1]
        np.testing.assert_allclose(
            profile.to_srgb(values)[0, : len(within), 0], srgb_to_linear(within), atol=1e-4
        )


@pytest.mark.parametrize("curve", [curve_of([1, 0]), gamma(-1), b"junk" + bytes(20), b"curv"])
def test_curves_that_make_no_sense_are_refused(service: LocalService, tmp_path: Path, curve: bytes) -> None:
    composite = save(tmp_path / "in.png", scene(channels=1), gray_profile(curve))
    said = words(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert said == (
        f"{composite} holds gray in a colour profile that is not made of curves and a matrix: "
        "convert it to sRGB or to linear light first."
    )


def test_floats_in_a_profile_of_tables_are_refused(service: LocalService, tmp_path: Path) -> None:
    composite = save(tmp_path / "in.tif", scene("float32"), input_only().replace(b"\xff\xff", b"\x7f\xff"))
    said = words(service, composite, save_mask(tmp_path / "mask.png"), tmp_path / "out.tif")
    assert said.startswith(f"{composite} holds floats in a colour profile that is not made of curves")
