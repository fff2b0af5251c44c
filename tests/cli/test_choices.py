"""One picture's variants, amounts and look-up table; a table on the frames of a shot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_pictures import here, marked, save, save_mask, scene

from glihamba import image_files, look_up_table
from glihamba.image_files import BadPicture

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return save(tmp_path / "in.png", scene()), save_mask(tmp_path / "mask.png")


def pixels(path: Path) -> np.ndarray:
    return image_files.read(path).pixels.astype(int)


def harmonize(files: tuple[Path, Path], *options: Any) -> Any:
    done = here("harmonize", files[0], "--mask", files[1], "--local", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_variants_are_written_beside_one_another(files: tuple[Path, Path], tmp_path: Path) -> None:
    alone = harmonize(files, "-o", tmp_path / "alone.png", "--model", "statistics")
    told = harmonize(files, "-o", tmp_path / "out.png", "--variants", "--model", "statistics")
    outputs = [Path(each["output"]) for each in told]
    assert [path.name for path in outputs] == ["out-1.png", "out-2.png", "out-3.png"]
    assert [each["kind"] for each in told] == ["model", "statistics", "stronger"]
    assert not (tmp_path / "out.png").exists()
    best = pixels(Path(alone["output"]))
    assert np.array_equal(pixels(outputs[0]), best)
    inside = marked() == 255
    first, stronger = (np.abs(pixels(path) - scene())[inside].mean() for path in (outputs[0], outputs[2]))
    assert 1.2 < stronger / first < 1.4


def test_the_stronger_variant_of_a_strong_correction_is_as_strong_as_can_be(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    options = ("--variants", "--model", "statistics", "--strength", "1.5")
    told = harmonize(files, "-o", tmp_path / "out.png", *options)
    first, _, stronger = (pixels(Path(each["output"])) for each in told)
    assert np.array_equal(first, stronger)


def test_amounts_weigh_the_parts_of_a_correction(files: tuple[Path, Path], tmp_path: Path) -> None:
    parts = ("light", "warmth", "contrast", "saturation", "local")
    nothing = [option for part in parts for option in ("--amount", f"{part}=0")]
    harmonize(files, "-o", tmp_path / "none.png", *nothing)
    assert np.array_equal(pixels(tmp_path / "none.png"), scene())
    for name, options in (("one", ()), ("two", ("--amount", "light=2"))):
        harmonize(files, "-o", tmp_path / f"{name}.png", *options)
    inside = marked() == 255
    once, twice = ((pixels(tmp_path / f"{name}.png") - scene())[inside].mean() for name in ("one", "two"))
    assert abs(twice) > 1.3 * abs(once)


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("glow=1", "is not PART=VALUE with one of light, warmth, contrast, saturation, local."),
        ("light", "is not PART=VALUE"),
        ("light=much", "'much' is not a number."),
        ("light=3", "light must be from -1 to 2, not 3."),
        ("light=nan", "light must be from -1 to 2, not nan."),
    ],
)
def test_a_wrong_amount_is_named(files: tuple[Path, Path], amount: str, sentence: str) -> None:
    done = here("harmonize", files[0], "--mask", files[1], "-o", "x.png", "--local", "--amount", amount)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())


def test_variants_of_a_folder_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    for option in (["--variants"], ["--lut", tmp_path / "x.cube"]):
        done = here("harmonize", tmp_path, "--mask", tmp_path, "-o", tmp_path / "out", "--local", *option)
        assert done.returncode == 2
        assert "take one picture: name its file." in done.stderr


@pytest.fixture
def table(files: tuple[Path, Path], tmp_path: Path) -> Path:
    told = harmonize(files, "--lut", tmp_path / "shot.cube", "--model", "statistics")
    assert [each["output"] for each in told] == [str(tmp_path / "shot.cube")]
    assert told[0]["left_out_levels"] >= 0
    return tmp_path / "shot.cube"


def test_a_table_does_to_colours_what_the_correction_does(
    files: tuple[Path, Path], table: Path, tmp_path: Path
) -> None:
    options = ("--amount", "local=0", "--model", "statistics")
    harmonize(files, "-o", tmp_path / "whole.png", *options)
    done = here("apply", table, files[0], "--mask", files[1], "-o", tmp_path / "applied.png")
    assert done.returncode == 0, done.stderr
    found, whole = pixels(tmp_path / "applied.png"), pixels(tmp_path / "whole.png")
    assert np.abs(found - whole).max() <= 1
    assert np.abs(whole - scene()).max() > 10


def test_another_s_reader_reads_the_table(table: Path) -> None:
    ocio = pytest.importorskip("PyOpenColorIO")
    transform = ocio.FileTransform(str(table), interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    colours = np.random.default_rng(0).random((50, 40, 3), np.float32)
    theirs = np.array(processor.applyRGB(colours.copy().ravel().tolist())).reshape(colours.shape)
    assert np.abs(theirs - look_up_table.read(table).apply(colours)).max() < 1e-5
    assert np.abs(theirs - colours).max() > 0.02


def test_a_mask_of_another_size_is_named(files: tuple[Path, Path], table: Path, tmp_path: Path) -> None:
    small = save(tmp_path / "small.png", marked()[:20, :, None])
    done = here("apply", table, files[0], "--mask", small, "-o", tmp_path / "applied.png")
    assert done.returncode == 1
    assert "48 x 20" in done.stderr
    assert "48 x 32" in done.stderr


def test_a_shot_gets_the_same_colours(files: tuple[Path, Path], table: Path, tmp_path: Path) -> None:
    frames, masks = tmp_path / "frames", tmp_path / "masks"
    frames.mkdir()
    masks.mkdir()
    for number in range(3):
        save(frames / f"{number}.png", scene("uint16"))
        save_mask(masks / f"{number}.png")
    (frames / "1.png").write_bytes(b"not a picture")
    done = here("apply", table, frames, "--mask", masks, "-o", tmp_path / "out", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["done"] == 2
    assert [Path(each["composite"]).name for each in told["failed"]] == ["1.png"]
    first, last = (pixels(tmp_path / "out" / f"{number}.png") for number in (0, 2))
    assert np.array_equal(first, last)
    outside = marked() == 0
    assert np.array_equal(first[outside], scene("uint16")[outside])


def test_words_say_what_was_written(files: tuple[Path, Path], tmp_path: Path) -> None:
    table, output = tmp_path / "x.cube", tmp_path / "out.png"
    named = ("--model", "statistics", "--local", "--variants")
    done = here("harmonize", files[0], "--mask", files[1], "-o", output, "--lut", table, *named)
    first, *pictures = done.stdout.splitlines()
    assert first.startswith(f"{table}: a look-up table of the correction by statistics")
    assert [line.rpartition(" ")[2] for line in pictures] == ["model", "statistics", "stronger"]


ENTRIES = "0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 0 1\n1 0 1\n0 1 1\n1 1 1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("LUT_3D_SIZE 3\n" + ENTRIES, "has 8 entries where 27 belong: it is damaged or cut short."),
        ("LUT_1D_SIZE 8\n" + ENTRIES, "holds a table for each channel alone: a .cube file with LUT_3D_SIZE"),
        (ENTRIES, "holds no table"),
        ("LUT_3D_SIZE 999\n" + ENTRIES, "has 999 entries a side: it must be 2 to 256."),
        ("LUT_3D_SIZE two\n" + ENTRIES, "has two entries a side"),
        ("LUT_3D_SIZE 2\n" + ENTRIES.replace("1 1 1", "1 1"), "has an entry that is not three numbers"),
        ("LUT_3D_SIZE 2\n" + ENTRIES.replace("1 1 1", "1 1 1e999"), "numbers that no look-up table can have"),
        ("LUT_3D_SIZE 2\nDOMAIN_MAX 0 0 0\n" + ENTRIES, "numbers that no look-up table can have"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.cube"
    path.write_text(text)
    with pytest.raises(BadPicture) as failure:
        look_up_table.read(path)
    assert sentence in str(failure.value)
    assert str(path) in str(failure.value)


def test_a_table_of_another_program_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "x.cube"
    path.write_text('# made elsewhere\nTITLE "x"\nLUT_3D_SIZE 2\nDOMAIN_MAX 2 2 2\n' + ENTRIES)
    colours = np.array([[[0.5, 1.0, 3.0]]], np.float32)
    assert np.allclose(look_up_table.read(path).apply(colours), [[[0.25, 0.5, 1.0]]])


def test_a_name_that_is_no_table_s_is_refused_before_anything_is_done(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    done = here("harmonize", files[0], "--mask", files[1], "--lut", tmp_path / "x.png", "--local")
    assert done.returncode == 1
    assert "does not end in .cube: look-up tables are written in that format alone." in done.stderr
    assert not (tmp_path / "x.png").exists()
