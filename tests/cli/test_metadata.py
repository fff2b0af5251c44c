"""What comes in goes out: the table of the user guide, format by format, read by exiftool."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from cli_pictures import harmonized, save_mask, scene
from PIL import Image

from glihamba import image_files, picture_metadata
from glihamba.commands.local import LocalService

REPOSITORY = Path(__file__).resolve().parents[2]
FORMATS = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WebP": "webp"}
PUT = {
    "EXIF": (
        "-EXIF:Make=Canon",
        "-EXIF:Artist=Me",
        "-EXIF:DateTimeOriginal=2020:01:02 03:04:05",
        "-EXIF:FNumber=2.8",
    ),
    "GPS": ("-GPSLatitude=48.5", "-GPSLatitudeRef=N"),
    "XMP": ("-XMP:Title=Ünï 漢", "-XMP:Rating=4"),
    "IPTC": ("-IPTC:Keywords=wood", "-IPTC:City=Ulm"),
    "texts": ("-PNG:Comment=größe ü 漢", "-PNG:Author=Zoë"),
    "gamma": ("-PNG:Gamma=0.5",),
    "resolution": ("-XResolution=300", "-YResolution=300", "-ResolutionUnit=inches"),
}
ASKED: dict[str, dict[str, Any]] = {
    "EXIF": {
        "IFD0:Make": "Canon",
        "IFD0:Artist": "Me",
        "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05",
        "ExifIFD:FNumber": 2.8,
    },
    "GPS": {"GPS:GPSLatitude": "48 deg 30' 0.00\"", "GPS:GPSLatitudeRef": "North"},
    "XMP": {"XMP-dc:Title": "Ünï 漢", "XMP-xmp:Rating": 4},
    "IPTC": {"IPTC:Keywords": "wood", "IPTC:City": "Ulm"},
    "texts": {"PNG:Comment": "größe ü 漢", "PNG:Author": "Zoë"},
    "gamma": {"PNG:Gamma": 0.5},
}
needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool here")


class Exiftool:
    """One exiftool for all tests, because each start takes it longer than what it is asked to do."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def run(self, *words: str) -> bytes:
        """What it prints. Its warnings and errors are in it."""
        self._stdin.write("\n".join([*words, "-execute", ""]).encode())
        self._stdin.flush()
        printed = bytearray()
        while not printed.endswith(b"{ready}\n"):
            line = self._stdout.readline()
            assert line, f"exiftool has ended: {bytes(printed)!r}"
            printed += line
        return bytes(printed.removesuffix(b"{ready}\n"))

    def told(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("-j", "-G1", str(path)))[0]
        assert not {name: text for name, text in found.items() if "Warning" in name or "Error" in name}, found
        return found

    def change(self, path: Path, *words: str) -> Path:
        said = self.run("-overwrite_original", *words, str(path)).decode()
        assert said.strip() == "1 image files updated", said
        return path

    def put(self, path: Path, *names: str) -> Path:
        return self.change(path, *(word for name in names for word in PUT[name]))


@pytest.fixture(scope="module")
def exiftool() -> Iterator[Exiftool]:
    command = ["exiftool", "-stay_open", "True", "-@", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin
        assert process.stdout
        yield Exiftool(process.stdin, process.stdout)
        with contextlib.suppress(BrokenPipeError):  # it has ended, which a test has told
            process.communicate(b"-stay_open\nFalse\n")


def table() -> dict[tuple[str, str, str], bool]:
    """What the user guide says: (what, from, to) -> whether it is kept."""
    text = (REPOSITORY / "docs" / "user-guide.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (.+?) \| (.+?) \| (.+?) \|$", text.split("What is kept of a file", 1)[1], re.MULTILINE
    )
    kept = {}
    for what, sources, targets in rows:
        if what not in ASKED:
            continue
        for source in FORMATS:
            for target in FORMATS:
                if source in sources.split(", "):
                    kept[what, source, target] = target in targets.split(", ")
    return kept


CASES = sorted(table())


def test_the_guide_speaks_of_everything() -> None:
    assert {what for what, _, _ in CASES} == set(ASKED)
    assert len(CASES) == 4 * (4 + 4 + 4 + 2 + 1 + 1)


@needs_exiftool
@pytest.mark.parametrize(("what", "source", "target"), CASES, ids=["-".join(case) for case in CASES])
def test_what_is_kept(
    service: LocalService, exiftool: Exiftool, tmp_path: Path, what: str, source: str, target: str
) -> None:
    path = tmp_path / f"in.{FORMATS[source]}"
    Image.fromarray(scene()).save(path)
    exiftool.put(path, what)
    wanted = ASKED[what]
    assert wanted.items() <= exiftool.told(path).items(), "exiftool has put it in"
    output = tmp_path / f"out.{FORMATS[target]}"
    harmonized(service, path, save_mask(tmp_path / "mask.png"), output)
    found = exiftool.told(output)
    is_kept = {name: found.get(name) for name in wanted} == wanted
    assert is_kept == table()[what, source, target], found


@needs_exiftool
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_everything_together_and_the_pixels_stay(
    exiftool: Exiftool, tmp_path: Path, source: str, target: str
) -> None:
    path = tmp_path / f"in.{FORMATS[source]}"
    Image.fromarray(scene()).save(path, lossless=True)
    names = ["EXIF", "GPS", "XMP"]
    exiftool.put(
        path,
        *names,
        *(["IPTC"] if source in ("JPEG", "TIFF") else []),
        *(["texts"] if source == "PNG" else []),
    )
    picture, output = image_files.read(path), tmp_path / f"out.{FORMATS[target]}"
    image_files.write(output, picture.pixels, picture)
    found = exiftool.told(output)
    assert all(ASKED[name].items() <= found.items() for name in names), found
    again = image_files.read(output)
    if target != "JPEG":
        assert (again.pixels == picture.pixels).all()
    assert np.asarray(Image.open(output)).shape == picture.pixels.shape, "other readers read it, too"


@needs_exiftool
@pytest.mark.parametrize("target", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("has_one", [True, False])
def test_there_is_a_resolution_only_if_there_was_one(
    exiftool: Exiftool, tmp_path: Path, source: str, target: str, has_one: bool
) -> None:
    path = tmp_path / f"in.{FORMATS[source]}"
    resolution: dict[str, Any] = {"dpi": (300, 300)} if has_one else {}
    Image.fromarray(scene()).save(path, **resolution)
    picture, output = image_files.read(path), tmp_path / f"out.{FORMATS[target]}"
    image_files.write(output, picture.pixels, picture)
    found = exiftool.told(output)
    resolutions = [
        found.get(name) for name in ("JFIF:XResolution", "IFD0:XResolution", "PNG-pHYs:PixelsPerUnitX")
    ]
    if has_one:
        assert {None if each is None else round(each) for each in resolutions} & {300, 11811}, found
    else:
        units = {found.get("JFIF:ResolutionUnit"), found.get("IFD0:ResolutionUnit")}
        assert units <= {None, "None"}, found
        assert found.get("PNG-pHYs:PixelUnits") is None


@needs_exiftool
def test_an_old_thumbnail_is_dropped(exiftool: Exiftool, tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(scene()).resize((20, 14)).save(small, "JPEG")
    (tmp_path / "small.jpg").write_bytes(small.getvalue())
    path = tmp_path / "in.jpg"
    Image.fromarray(scene()).save(path)
    exiftool.put(path, "EXIF")
    exiftool.change(path, f"-ThumbnailImage<={tmp_path / 'small.jpg'}")
    assert "IFD1:ThumbnailImage" in exiftool.told(path)
    picture = image_files.read(path)
    for target in FORMATS.values():
        image_files.write(tmp_path / f"out.{target}", picture.pixels, picture)
        found = exiftool.told(tmp_path / f"out.{target}")
        assert not [name for name in found if "Thumbnail" in name], found
        assert found["IFD0:Make"] == "Canon"


@needs_exiftool
@pytest.mark.parametrize("depth", ["uint16", "float32"])
def test_tiffs_of_every_depth_keep_exif(exiftool: Exiftool, tmp_path: Path, depth: str) -> None:
    from cli_pictures import save

    path = exiftool.put(save(tmp_path / "in.tif", scene(depth)), "EXIF", "IPTC")
    picture = image_files.read(path)
    image_files.write(tmp_path / "out.tif", picture.pixels, picture)
    assert {**ASKED["EXIF"], **ASKED["IPTC"]}.items() <= exiftool.told(tmp_path / "out.tif").items()
    assert (image_files.read(tmp_path / "out.tif").pixels == picture.pixels).all()


@needs_exiftool
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_damaged_metadata_is_left_out_and_never_a_crash(
    exiftool: Exiftool, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"in.{ {'jpeg': 'jpg', 'tiff': 'tif'}.get(kind, kind) }"
    Image.fromarray(scene()).save(path)
    exiftool.put(path, "EXIF", "GPS", "XMP", *(["IPTC"] if kind in ("jpeg", "tiff") else []))
    whole, dice = path.read_bytes(), random.Random(19)
    written = image_files.encoded(path, image_files.read(path).pixels, image_files.read(path))
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 30)):
            data[dice.randrange(2, len(data))] = dice.randrange(256)
        extra = picture_metadata.read(
            bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data), kind
        )
        completed = picture_metadata.completed(written, kind, extra, extra.exif, extra.iptc)
        assert completed[:2] == written[:2]
