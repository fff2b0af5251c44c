"""The steps of docs/add-an-editor.md: the sample editor harmonizes a layer through a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glihamba import demo

EDITOR = Path(__file__).resolve().parents[2] / "examples" / "editor" / "paste.py"


def paste(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EDITOR), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "LANGUAGE": "en", "GLIHAMBA_DEFAULT_MODEL": "statistics"},
    )


def cut_out(folder: Path) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Write `scene.png` and `object.png`, the demo's drum along its mask; returns the scene and the place."""
    shutil.copy(demo.MASK, folder / "mask.png")
    composite = np.asarray(Image.open(demo.COMPOSITE))
    mask = np.asarray(Image.open(demo.MASK))
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    Image.fromarray(composite).save(folder / "scene.png")
    Image.fromarray(np.dstack((composite[place], mask[place]))).save(folder / "object.png")
    return composite, place


@pytest.mark.slow
def test_the_sample_editor_harmonizes_a_layer(tmp_path: Path, own_home: Path) -> None:
    own_home.mkdir()
    command = [sys.executable, "-m", "glihamba", "serve"]
    (own_home / "daemon.json").write_text(json.dumps({"command": command}), "utf-8")
    scene, (rows, columns) = cut_out(tmp_path)
    at = (str(columns.start), str(rows.start))
    done = paste(tmp_path, "scene.png", "object.png", "result.png", "--at", *at)
    assert done.returncode == 0, done.stderr
    result = np.asarray(Image.open(tmp_path / "result.png"))
    covered = np.asarray(Image.open(tmp_path / "mask.png").convert("L")) > 0
    assert (result[~covered] == scene[~covered]).all()
    assert np.abs(result[covered].astype(int) - scene[covered]).mean() > 2


def test_it_says_what_is_wrong_and_writes_nothing(tmp_path: Path, own_home: Path) -> None:
    cut_out(tmp_path)
    Image.new("RGBA", (8, 8)).save(tmp_path / "object.png")
    done = paste(tmp_path, "scene.png", "object.png", "result.png")
    assert done.returncode == 1
    assert "The mask is empty" in done.stderr
    assert not (tmp_path / "result.png").exists()
