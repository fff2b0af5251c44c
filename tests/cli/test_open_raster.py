"""A layer of an OpenRaster document is harmonized with the picture that all layers make."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_pictures import HEIGHT, WIDTH, as_json, encoded, here, save, save_mask, scene
from PIL import Image

from glihamba import image_files

STACK = """<?xml version='1.0' encoding='UTF-8'?>
<image version="0.0.3" w="48" h="32"><stack>
  <stack name="things" opacity="0.5"><layer name="cat" src="data/cat.png" x="10" y="5" opacity="0.5"/></stack>
  <layer name="hidden" src="data/cat.png" visibility="hidden"/>
  <layer name="twice" src="data/cat.png"/><layer name="twice" src="data/cat.png"/>
  <layer name="scene" src="data/scene.png"/>
</stack></image>"""
LOCAL = "--local", "--model", "statistics"


def cat(dtype: str = "uint8") -> np.ndarray:
    """A layer smaller than the canvas, from (10, 5) on, of which the object fills a part."""
    before = scene(dtype)[5:28, 10:40]
    alpha = np.zeros((23, 30, 1), before.dtype)
    alpha[3:19, 2:26] = np.iinfo(before.dtype).max
    return np.concatenate([before, alpha], axis=2)


def document(path: Path, stack: str = STACK, **more: bytes) -> Path:
    parts = {
        "mergedimage.png": encoded(Image.fromarray(scene()), "PNG"),
        "data/scene.png": encoded(Image.fromarray(scene()), "PNG"),
        "data/cat.png": encoded(Image.fromarray(cat()), "PNG"),
        "Thumbnails/thumbnail.png": encoded(Image.fromarray(scene()[:4, :6]), "PNG"),
        "stack.xml": stack.encode(),
        **more,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "image/openraster")
        for name, data in parts.items():
            if data:
                archive.writestr(name, data)
    return path


def test_a_picture_of_the_result(own_home: Path, tmp_path: Path) -> None:
    path, output = document(tmp_path / "in.ora"), tmp_path / "out.png"
    facts = as_json("harmonize", path, "--layer", "cat", "-o", output, *LOCAL)
    assert (facts["composite"], facts["output"]) == (str(path), str(output))
    (said,) = facts["messages"]
    assert said.startswith(f"The brightest value of the mask {path} (layer cat) is 0.25 of 1, so the object")
    after, covered = image_files.read(output).pixels, np.zeros((HEIGHT, WIDTH), bool)
    covered[8:24, 12:36] = True
    assert np.array_equal(after[~covered], scene()[~covered])
    assert not np.array_equal(after[covered], scene()[covered])
    # The same as with a mask of a quarter: the layer's opacity times its group's.
    save(tmp_path / "mask.tif", np.where(covered, 0.25, 0).astype(np.float32)[:, :, None])
    Image.fromarray(scene()).save(tmp_path / "flat.png")
    as_json(
        "harmonize", tmp_path / "flat.png", "--mask", tmp_path / "mask.tif", "-o", tmp_path / "b.png", *LOCAL
    )
    assert np.array_equal(image_files.read(tmp_path / "b.png").pixels, after)


def test_the_document_with_the_result_on_top(own_home: Path, tmp_path: Path) -> None:
    path, output = document(tmp_path / "in.ora"), tmp_path / "out.ora"
    before = path.read_bytes()
    as_json("harmonize", path, "--layer", "cat", "-o", output, *LOCAL)
    as_json("harmonize", path, "--layer", "cat", "-o", tmp_path / "flat.png", *LOCAL)
    flat = image_files.read(tmp_path / "flat.png").pixels
    assert path.read_bytes() == before
    with zipfile.ZipFile(output) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert archive.read("data/cat.png") == encoded(Image.fromarray(cat()), "PNG")
        stack = ElementTree.fromstring(archive.read("stack.xml")).find("stack")
        assert stack is not None
        top = stack[0]
        assert (top.get("name"), top.get("x"), top.get("y")) == ("cat (harmonized)", "0", "0")
        patch = np.asarray(Image.open(io.BytesIO(archive.read(top.get("src", "")))))
        merged = np.asarray(Image.open(io.BytesIO(archive.read("mergedimage.png"))))
        assert Image.open(io.BytesIO(archive.read("Thumbnails/thumbnail.png"))).size == (WIDTH, HEIGHT)
    assert np.array_equal(merged, flat)
    assert (patch[:, :, 3] > 0).sum() == 16 * 24
    assert np.array_equal(np.where(patch[:, :, 3:] > 0, patch[:, :, :3], scene()), flat)
    # The result is a document again, whose layers have the same names.
    again = as_json("harmonize", output, "--layer", "cat (harmonized)", "-o", tmp_path / "again.ora", *LOCAL)
    assert Path(again["output"]).exists()


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("dog", {}, "has no layer called dog: its layers are cat, hidden, twice, twice, scene."),
        ("hidden", {}, "is hidden: show it, and save the document again."),
        ("twice", {}, "has 2 layers called twice: give them names of their own."),
        ("cat", {"mergedimage.png": b""}, "has no mergedimage.png in it: save it again as OpenRaster."),
        ("cat", {"stack": "<image"}, "is damaged or no OpenRaster document (unclosed token: "),
        ("cat", {"stack": STACK.replace('x="10"', 'x="ten"')}, "is damaged or no OpenRaster document ("),
        ("cat", {"data/cat.png": b""}, "has no data/cat.png in it: save it again as OpenRaster."),
    ],
)
def test_documents_that_cannot_be_used(
    own_home: Path, tmp_path: Path, name: str, parts: dict[str, Any], said: str
) -> None:
    path = document(tmp_path / "in.ora", **parts)
    done = here("harmonize", path, "--layer", name, "-o", tmp_path / "out.ora", *LOCAL)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "out.ora").exists()


def test_what_is_no_archive(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.ora").write_bytes(b"PK\3\4" + bytes(90))
    for path, said in ((tmp_path / "in.ora", "is damaged or no"), (tmp_path / "no.ora", "There is no file")):
        done = here("harmonize", path, "--layer", "cat", "-o", tmp_path / "out.png", *LOCAL)
        assert done.returncode == 1
        assert said in done.stderr


def test_a_layer_that_shows_nothing_is_named(own_home: Path, tmp_path: Path) -> None:
    faint = STACK.replace('opacity="0.5"><layer', 'opacity="0.01"><layer')
    path = document(tmp_path / "in.ora", faint)
    done = here("harmonize", path, "--layer", "cat", "-o", tmp_path / "out.ora", *LOCAL)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The mask {path} (layer cat) is black almost everywhere")


def test_how_it_is_called(own_home: Path, tmp_path: Path) -> None:
    path, mask = document(tmp_path / "in.ora"), save_mask(tmp_path / "mask.png")
    for words in (
        [path, "-o", "out.png"],
        [path, "--layer", "cat"],
        [path, "--layer", "cat", "--mask", mask, "-o", "x.png"],
    ):
        done = here("harmonize", *words)
        assert done.returncode == 2
        assert "An OpenRaster document takes --layer NAME and an output" in done.stderr
    done = here("harmonize", path, "--layer", "cat", "-o", path, *LOCAL)
    assert "The output would overwrite" in done.stderr
