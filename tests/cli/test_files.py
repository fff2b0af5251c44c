"""What is read is what was meant; what is not read is named; names of every kind are paired and written."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_pictures import HEIGHT, WIDTH, harmonized, marked, save, save_mask, scene, words
from PIL import Image

from glihamba import image_files
from glihamba.commands.local import LocalService
from glihamba.commands.pictures import pairs, passed_over


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("mimetype", kind)
        made.writestr("stack.xml", "<image/>")
    return file.getvalue()


OTHERS = {
    "a.gif": (b"GIF89a" + bytes(90), "is a GIF picture: export it as PNG or TIFF first."),
    "a.bmp": (b"BM" + bytes(90), "is a BMP picture: export"),
    "a.psd": (b"8BPS\0\1" + bytes(90), "is a Photoshop document: export"),
    "a.jxl": (b"\xff\x0a" + bytes(90), "is a JPEG XL picture: export"),
    "a.jp2": (b"\0\0\0\x0cjP  \r\n" + bytes(90), "is a JPEG 2000 picture: export"),
    "a.exr": (b"\x76\x2f\x31\x01" + bytes(90), "is an OpenEXR picture: convert it to a float TIFF first."),
    "a.heic": (b"\0\0\0\x18ftypheic" + bytes(90), "is a HEIC picture: export"),
    "a.avif": (b"\0\0\0\x18ftypavis" + bytes(90), "is an animated AVIF picture: save the frame"),
    "a.cr3": (b"\0\0\0\x18ftypcrx " + bytes(90), "is a camera's raw file: develop it first."),
    "a.raf": (b"FUJIFILMCCD-RAW " + bytes(90), "is a camera's raw file: develop it first."),
    "a.kra": (archive("application/x-krita"), "is a Krita document: export the picture and the layer's mask"),
    "a.ora": (archive("image/openraster"), "is an OpenRaster document: end its name in .ora, and"),
    "a.xcf": (b"gimp xcf v011\0" + bytes(90), "is a GIMP document: export the picture and the layer's mask"),
    "a.svg": (b"<svg xmlns='x'/>", "is an SVG drawing: export"),
    "a.png": (
        b"\x7fELF" + bytes(90),
        "is not a PNG, JPEG, TIFF, WebP or AVIF picture: convert it to one of these.",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_read_is_named(service: LocalService, tmp_path: Path, name: str) -> None:
    data, expected = OTHERS[name]
    (tmp_path / name).write_bytes(data)
    said = words(service, tmp_path / name, save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert said.startswith(f"{tmp_path / name} {expected}")


def tiff(entries: dict[int, tuple[int, list[int]]], order: str = "<", ending: bytes = b"") -> bytes:
    """A TIFF whose only directory has these tags: tag -> (kind 3 or 4, numbers)."""
    entries = dict(sorted(entries.items()))
    far, body = b"", b""
    begin = 8 + 2 + 12 * len(entries) + 4
    for tag, (kind, numbers) in entries.items():
        data = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(data) > 4:
            body += struct.pack(order + "HHII", tag, kind, len(numbers), begin + len(far))
            far += data
        else:
            body += struct.pack(order + "HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(entries)) + body + bytes(4) + far + ending


RAW = {
    "dng": tiff({254: (4, [1]), 256: (3, [160]), 50706: (4, [1])}),
    "nef": tiff({254: (4, [1]), 256: (3, [160]), 330: (4, [500, 600])}, ">"),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
}


@pytest.mark.parametrize("kind", RAW)
def test_raw_files_are_not_taken_for_their_thumbnails(
    service: LocalService, tmp_path: Path, kind: str
) -> None:
    (tmp_path / f"a.{kind}").write_bytes(RAW[kind])
    said = words(service, tmp_path / f"a.{kind}", save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert (
        said == f"{tmp_path / f'a.{kind}'} is a camera's raw file, or the preview in one: develop it first."
    )


@pytest.mark.parametrize(
    ("compression", "bits", "expected"),
    [
        (50000, 8, "compression ZSTD, 8 bits"),
        (34887, 8, "compression LERC, 8 bits"),
        (34712, 8, "compression JPEG 2000"),
    ],
)
def test_compressions_that_cannot_be_read_are_named(
    service: LocalService, tmp_path: Path, compression: int, bits: int, expected: str
) -> None:
    tags: dict[int, Any] = {256: (3, [8]), 257: (3, [8]), 258: (3, [bits] * 3), 259: (3, [compression])}
    tags |= {262: (3, [2]), 273: (4, [200]), 277: (3, [3]), 278: (3, [8]), 279: (4, [64])}
    (tmp_path / "a.tif").write_bytes(tiff(tags, ending=bytes(400)))
    said = words(service, tmp_path / "a.tif", save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert "damaged" not in said, said
    assert expected in said
    assert "save it with 8 or 16 bits, and with LZW, Deflate or no compression." in said


def test_an_animated_png_is_refused(service: LocalService, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    said = words(service, tmp_path / "a.png", save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert said == f"{tmp_path / 'a.png'} is animated: save the frame that you mean as a file of its own."


def test_a_jpeg_of_two_pictures_is_noted(service: LocalService, tmp_path: Path) -> None:
    one = Image.fromarray(scene())
    one.save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[one])
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    host = harmonized(service, tmp_path / "a.jpg", save_mask(tmp_path / "mask.png"), tmp_path / "out.jpg")
    assert any("also holds more pictures, for example of a stereo camera" in text for text in host.messages)


def test_a_gain_map_is_noted(service: LocalService, tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>'
    Image.fromarray(scene()).save(tmp_path / "a.jpg", xmp=xmp, quality=95)
    host = harmonized(service, tmp_path / "a.jpg", save_mask(tmp_path / "mask.png"), tmp_path / "out.png")
    assert any("also holds a gain map for bright screens" in text for text in host.messages)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_saved_selection_is_no_opacity(
    service: LocalService, tmp_path: Path, suffix: str, order: str
) -> None:
    """A fourth channel that the file does not call alpha neither hides nor changes anything."""
    pixels = np.dstack([scene(), np.where(marked() > 0, 0, 255).astype(np.uint8)])
    tags: dict[int, Any] = {256: (3, [WIDTH]), 257: (3, [HEIGHT]), 258: (3, [8] * 4), 259: (3, [1])}
    tags |= {262: (3, [2]), 273: (4, [400]), 277: (3, [4]), 278: (3, [HEIGHT]), 279: (4, [pixels.size])}
    data = tiff({**tags, 284: (3, [1]), 338: (3, [0])}, order).ljust(400, b"\0") + pixels.tobytes()
    (tmp_path / "in.tif").write_bytes(data)
    mask, output = save_mask(tmp_path / "mask.png"), tmp_path / f"out{suffix}"
    host = harmonized(service, tmp_path / "in.tif", mask, output)
    assert any(
        "is no transparency (a saved selection, say): it is left out" in text for text in host.messages
    )
    plain = harmonized(service, save(tmp_path / "plain.png", scene()), mask, tmp_path / "plain_out.png")
    assert plain.harmonized
    found = image_files.read(output).pixels
    assert found.shape[2] == 3
    if suffix != ".jpg":
        assert (found == image_files.read(tmp_path / "plain_out.png").pixels).all()


def turned(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.repeat(scene(), 1, axis=0)[:HEIGHT, :HEIGHT]).save(path, exif=exif)
    return path


@pytest.mark.parametrize(("orientation", "is_said"), [(1, False), (3, True), (6, True), (8, True)])
def test_a_turn_that_the_mask_does_not_share_is_said(
    service: LocalService, tmp_path: Path, orientation: int, is_said: bool
) -> None:
    mask = save_mask(tmp_path / "mask.png", marked()[:HEIGHT, :HEIGHT])
    host = harmonized(service, turned(tmp_path / "in.jpg", orientation), mask, tmp_path / "out.png")
    assert any("turned differently by their cameras' tags" in text for text in host.messages) == is_said


# -- names


def names_on_disk(folder: Path) -> set[str]:
    return {unicodedata.normalize("NFC", path.name) for path in folder.iterdir()}


def test_names_of_every_kind_are_paired_and_written(service: LocalService, tmp_path: Path) -> None:
    composites, masks, output = (tmp_path / name for name in ("composites", "masks", "out"))
    composites.mkdir()
    masks.mkdir()
    one = save(tmp_path / "in.png", scene()).read_bytes()
    mask = save_mask(tmp_path / "mask.png").read_bytes()
    stems = [unicodedata.normalize("NFD", "Zoë Ünal"), "UPPER", "a" * 251, "ü" * 125]
    for stem in stems:
        (composites / f"{stem}.{'PNG' if stem == 'UPPER' else 'png'}").write_bytes(one)
        (masks / f"{unicodedata.normalize('NFC', stem)}.png").write_bytes(mask)
    (composites / "notes.txt").write_text("no picture")
    (composites / "film.mov").write_text("no picture")
    (composites / ".hidden").write_text("no picture")
    wanted = pairs(composites, masks, output)
    assert len(wanted) == 4
    for picture in wanted:
        assert isinstance(picture.mask, Path), picture.mask
        harmonized(service, picture.composite, picture.mask, picture.output)
    assert names_on_disk(output) == names_on_disk(composites) - {"notes.txt", "film.mov", ".hidden"}
    assert passed_over(composites) == ["film.mov", "notes.txt"]


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".JFIF"])
def test_endings_of_jpeg(service: LocalService, tmp_path: Path, suffix: str) -> None:
    Image.fromarray(scene()).save(tmp_path / f"in{suffix}", format="JPEG")
    output = tmp_path / f"out{suffix}"
    harmonized(service, tmp_path / f"in{suffix}", save_mask(tmp_path / "mask.png"), output)
    assert output.read_bytes().startswith(b"\xff\xd8\xff")


def test_what_a_folder_run_passes_over_is_listed(own_home: Path, tmp_path: Path) -> None:
    composites, masks = tmp_path / "composites", tmp_path / "masks"
    composites.mkdir()
    masks.mkdir()
    save(composites / "a.png", scene())
    save_mask(masks / "a.png")
    for number in range(25):
        (composites / f"{number:02}.txt").touch()
    program = [
        sys.executable,
        "-m",
        "glihamba",
        "harmonize",
        str(composites),
        "--mask",
        str(masks),
        "--local",
    ]
    program += ["--model", "statistics", "-o", str(tmp_path / "out")]
    said = subprocess.run(program, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "Passed over, because they are no pictures: 00.txt, 01.txt, " in said.stderr
    assert "19.txt and 5 more." in said.stderr
    told = subprocess.run([*program, "--json"], capture_output=True, text=True)
    assert json.loads(told.stdout)["passed_over"] == [f"{number:02}.txt" for number in range(25)]
