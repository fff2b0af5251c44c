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
