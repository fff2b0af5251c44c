"""The steps of docs/add-a-model.md, with the sample network and a copy of the backend."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glihamba import demo

pytestmark = pytest.mark.train

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "examples" / "network"
GUIDE = REPOSITORY / "docs" / "add-a-model.md"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("glihamba ")]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout's packages with the sample network put where the guide says."""
    for source in ("backend/glihamba", "training/glihamba_training"):
        shutil.copytree(
            REPOSITORY / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__", "*.ckpt")
        )
    shutil.copy(SAMPLE / "gain_shift.py", tmp_path / "backend/glihamba/networks")
    shutil.copy(SAMPLE / "gain-shift.toml", tmp_path / "training/glihamba_training/recipes")
    return tmp_path


@pytest.fixture
def photographs(house: Path) -> None:
    """A folder `photos` of 24 photographs with masks, and the demo's composite."""
    folder, rng = house / "photos", np.random.default_rng(3)
    folder.mkdir()
    for index in range(24):
        y, x = np.mgrid[0:72, 0:96]
        mask = (y - 36) ** 2 + (x - rng.uniform(32, 64)) ** 2 < rng.uniform(12, 22) ** 2
        colours = np.where(mask[..., None], *rng.uniform(0.2, 0.9, (2, 3)))
        scene = (colours + 0.1 * np.sin(x / 5)[..., None]) * rng.uniform(0.5, 1.1, 3)
        Image.fromarray((scene.clip(0, 1) * 255).astype(np.uint8)).save(folder / f"{index:02}.jpg")
        Image.fromarray((mask * 255).astype(np.uint8)).save(folder / f"{index:02}.mask0.png")
    Image.open(demo.COMPOSITE).save(house / "composite.png")
    shutil.copy(demo.MASK, house / "mask.png")


def test_the_guide_makes_a_model_that_harmonizes(house: Path, photographs: None, own_home: Path) -> None:
    paths = os.pathsep.join(str(house / room) for room in ("backend", "training"))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = {}
    for command in commands():
        words = shlex.split(command)[1:]
        ran = subprocess.run(
            [sys.executable, "-m", "glihamba", *words],
            cwd=house,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        done[words[0]] = ran.stdout
    assert list(done) == ["train", "export", "models", "harmonize", "evaluate"]
    record = json.loads((house / "weights" / "mine.json").read_text("utf-8"))
    assert record["architecture"] == "gain-shift"
    assert record["config"] == {"hidden": 32, "working_size": 64}
    before, after = (np.asarray(Image.open(house / name)) for name in ("composite.png", "harmonized.png"))
    outside = np.asarray(Image.open(house / "mask.png").convert("L")) == 0
    assert (before[outside] == after[outside]).all()
    assert (before != after).any()
    assert "mine" in done["evaluate"]
