"""The rule for mask files, which the command line and training share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glihamba.errors import HarmonizeError
from glihamba.file_host import read_mask as read_as_a_host
from glihamba.masks import FaintMask, coverage_in
from glihamba_client.errors import ClientError
from glihamba_training.data.pictures import read_mask as read_to_train

SHAPE = (6, 8)
OBJECT = np.zeros(SHAPE, bool)
OBJECT[2:5, 3:6] = True


def gray(value: float, dtype: type) -> np.ndarray:
    return np.where(OBJECT, value, 0).astype(dtype)[:, :, None]


@pytest.mark.parametrize(
    ("value", "dtype", "found"),
    [
        (255, np.uint8, 255),
        (100, np.uint8, 100),
        (1, np.uint8, 255),
        (65535, np.uint16, 65535),
        (1, np.uint16, 65535),
        (1.0, np.float32, 1.0),
        (0.5, np.float32, 0.5),
        (0, np.uint8, 0),
    ],
)
def test_a_mask_of_zero_and_one_is_a_label_map(value: float, dtype: type, found: float) -> None:
    coverage = coverage_in(gray(value, dtype), "m.png")
    assert coverage.dtype == dtype
    assert (coverage == np.where(OBJECT, found, 0)).all()


@pytest.mark.parametrize(("value", "dtype"), [(2, np.uint8), (1000, np.uint16), (0.01, np.float32)])
def test_other_faint_masks_are_refused(value: float, dtype: type) -> None:
    with pytest.raises(
        FaintMask, match=r"The mask m\.png is black almost everywhere .*: paint the object white\."
    ):
        coverage_in(gray(value, dtype), "m.png")


def test_alpha_is_the_mask_where_it_says_anything() -> None:
    colours = np.full((*SHAPE, 3), 200, np.uint8)
    alpha = np.where(OBJECT, 255, 0).astype(np.uint8)[:, :, None]
    opaque = np.full((*SHAPE, 1), 255, np.uint8)
    assert (coverage_in(np.concatenate((colours, alpha), 2), "m") == alpha[:, :, 0]).all()
    assert (coverage_in(np.concatenate((colours, opaque), 2), "m") == 200).all()
    assert (coverage_in(np.concatenate((colours[:, :, :1], alpha), 2), "m") == alpha[:, :, 0]).all()
    red = np.zeros((*SHAPE, 3), np.uint8)
    red[OBJECT, 0] = 255
    assert (coverage_in(red, "m")[OBJECT] == round(0.2126 * 255)).all()


FILES = {
    "8 bits": Image.fromarray(np.where(OBJECT, 255, 0).astype(np.uint8)),
    "labels": Image.fromarray(OBJECT.astype(np.uint8)),
    "1 bit": Image.fromarray(OBJECT),
    "16 bits": Image.fromarray(np.where(OBJECT, 65535, 0).astype(np.uint16)),
    "16-bit labels": Image.fromarray(OBJECT.astype(np.uint16)),
    "RGB": Image.fromarray(np.where(OBJECT, 255, 0).astype(np.uint8)).convert("RGB"),
    "alpha": Image.merge("LA", [Image.new("L", SHAPE[::-1], 9), Image.fromarray(np.uint8(OBJECT * 255))]),
    "palette": Image.fromarray(np.where(OBJECT, 255, 0).astype(np.uint8)).convert("P"),
}


@pytest.mark.parametrize("name", FILES)
def test_both_readers_find_the_same_object(name: str, tmp_path: Path) -> None:
    FILES[name].save(tmp_path / "m.png")
    as_a_host = read_as_a_host(tmp_path / "m.png")
    assert (as_a_host == np.where(OBJECT, np.iinfo(as_a_host.dtype).max, 0)).all()
    to_train = np.asarray(read_to_train(tmp_path / "m.png", "m.png", SHAPE[::-1]))
    assert (to_train == np.where(OBJECT, 255, 0)).all()


def test_both_readers_refuse_labels_of_several_objects(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.where(OBJECT, 3, 0).astype(np.uint8)).save(path)
    brightest = "its brightest value is 3 of 255"
    sentence = f"The mask {path} is black almost everywhere ({brightest}): paint the object white."
    with pytest.raises(ClientError) as refused:
        read_as_a_host(path)
    assert (refused.value.code, str(refused.value)) == ("EMPTY_MASK", sentence)
    with pytest.raises(HarmonizeError) as left_out:
        read_to_train(path, str(path), SHAPE[::-1])
    assert str(left_out.value) == sentence


def rgba(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([colour, colour, colour, alpha]).astype(np.uint8)


LARGE = np.zeros((60, 80), bool)
LARGE[20:40, 30:60] = True


def found(pixels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    return coverage_in(pixels, "m", notes.append), notes


def test_a_drawn_layer_smaller_than_its_canvas_is_taken_by_its_brightness() -> None:
    """Its alpha is a rectangle, which is not the object."""
    alpha = np.zeros(LARGE.shape)
    alpha[10:50, 10:70] = 255
    mask, _ = found(rgba(np.where(LARGE, 255, 0), alpha))
    assert (mask == np.where(LARGE, 255, 0)).all()
    soft = np.where(LARGE, 255, 0)
    soft[19, 30:60] = 120
    assert (found(rgba(soft, alpha))[0] == soft).all()


def test_a_cut_out_is_taken_by_its_alpha_whatever_its_colours() -> None:
    random = np.random.default_rng(1)
    for colour in (np.full(LARGE.shape, 255), np.zeros(LARGE.shape), random.integers(0, 255, LARGE.shape)):
        assert (found(rgba(colour, np.where(LARGE, 255, 0)))[0] == np.where(LARGE, 255, 0)).all()


def test_one_transparent_pixel_does_not_make_alpha_the_mask() -> None:
    alpha = np.full(LARGE.shape, 255)
    alpha[0, 0] = 254
    assert (found(rgba(np.where(LARGE, 255, 0), alpha))[0] == np.where(LARGE, 255, 0)).all()
    gray = np.where(LARGE, 180, 60)
    assert (found(rgba(gray, alpha))[0][1:] == gray[1:]).all()


@pytest.mark.parametrize(
    ("strongest", "dtype", "full"),
    [(4095, np.uint16, 65535), (1023, np.uint16, 65535), (16383, np.uint16, 65535), (255, np.float32, 1.0)],
)
def test_fewer_bits_are_spread_and_said(strongest: int, dtype: type, full: float) -> None:
    ramp: np.ndarray = np.where(LARGE, strongest, 0).astype(dtype)
    ramp[20, 30] = strongest // 2
    mask, notes = found(ramp[:, :, None])
    assert mask.dtype == dtype
    assert mask.max() == full
    assert abs(float(mask[20, 30]) / full - strongest // 2 / strongest) < 0.001
    assert notes == [f"The mask m ends at {strongest}, so its values were spread to {full:g}."]


def test_a_weak_mask_is_said() -> None:
    mask, notes = found(np.where(LARGE, 27, 0).astype(np.uint8)[:, :, None])
    assert mask.max() == 27
    (said,) = notes
    assert said == (
        "The brightest value of the mask m is 27 of 255, so the object is corrected by 11 % at most: paint it"
        " white for the whole correction."
    )
    assert found(np.where(LARGE, 140, 0).astype(np.uint8)[:, :, None])[1] == []


def test_floats_beyond_every_scale_and_photographs_are_refused() -> None:
    with pytest.raises(FaintMask, match="has values up to 100, but 1 is white: divide them"):
        found(np.where(LARGE, 100, 0).astype(np.float32)[:, :, None])
    photograph = np.random.default_rng(1).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    with pytest.raises(FaintMask, match="is a colour picture: give one in black and white"):
        found(photograph)
    assert found(np.repeat(photograph[:, :, :1], 3, axis=2))[1] == []
