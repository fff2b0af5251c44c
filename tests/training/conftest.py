"""A folder of photographs made here, in the layout of the real one."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_pictures import RECIPE


@pytest.fixture
def one_thread():
    """PyTorch computes in one thread, so that a training gives the same numbers again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def photograph(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene of one light: a textured ground and a disc of another colour, both under the same tint."""
    y, x = np.mgrid[0:height, 0:width]
    disc = (y - height * rng.uniform(0.35, 0.65)) ** 2 + (x - width * rng.uniform(0.35, 0.65)) ** 2
    mask = disc < (min(height, width) * rng.uniform(0.15, 0.3)) ** 2
    ground, paint = rng.uniform(0.2, 0.9, (2, 3))
    texture = 0.15 * np.sin(x / rng.uniform(2, 9)) * np.sin(y / rng.uniform(2, 9))
    scene = np.where(mask[..., None], paint, ground) + texture[..., None]
    scene = scene * rng.uniform(0.4, 1.1, 3)
    return (scene.clip(0, 1) * 255).astype(np.uint8), (mask * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo_shards(tmp_path_factory):
    """train-00.tar (24 photographs), val.tar (6) and manifest.csv; with caches of their own."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(7)
    rows = ["name,split,width,height,masks,mask_kinds,licence,origin,note"]
    for split, shard, count in (("train", "train-00.tar", 24), ("val", "val.tar", 6)):
        with tarfile.open(root / shard, "w") as tar:
            for index in range(count):
                height, width = (96, 128) if index % 2 else (120, 90)
                pixels, mask = photograph(rng, height, width)
                name = f"{split}{index:03}"
                for suffix, data in (("jpg", encoded(pixels, "JPEG")), ("mask0.png", encoded(mask, "PNG"))):
                    entry = tarfile.TarInfo(f"{name}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                kind = "h" if index % 3 else "r"
                rows.append(f"{name},{split},{width},{height},1,{kind},made here,made here,")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(autouse=True, scope="package")
def cache_of_its_own(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("platformdirs.user_cache_path", lambda *args, **kwargs: folder)
        yield


@pytest.fixture(scope="package")
def trained(cache_of_its_own, photo_shards, tmp_path_factory) -> Path:
    """`last.ckpt` of six steps of `training_pictures.RECIPE` on `photo_shards`, to be read only."""
    from glihamba_training.run.train import train  # Lightning: seconds that the fast tests do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    checkpoint = train(RECIPE, photo_shards, tmp_path_factory.mktemp("trained"))
    torch.set_num_threads(before)
    return checkpoint
