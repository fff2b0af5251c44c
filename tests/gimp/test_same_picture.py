"""Krita, GIMP and the command line save the same result for the same picture."""

from __future__ import annotations

from typing import Any

import apps
import gimp_app
import krita_app
import numpy as np
import pytest
from PIL import Image

from glihamba import demo


@pytest.fixture(scope="module")
def saved(profile: Any, daemon: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The demo's composite, its mask as a soft selection, and the pictures made of it, (H,W,3)."""
    if why := krita_app.missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("same")
    picture = np.asarray(Image.open(demo.COMPOSITE).convert("RGB"))
    mask = np.asarray(Image.open(demo.MASK).convert("L"))
    (folder / "picture.rgb").write_bytes(picture.tobytes())
    (folder / "mask.gray").write_bytes(mask.tobytes())
    extra = {"TEST_SIZE": f"{mask.shape[1]} {mask.shape[0]}"}
    krita = krita_app.installed(tmp_path_factory.mktemp("krita"))
    for app, who in ((gimp_app, profile), (krita_app, krita)):
        report = app.run(who, app.HERE / "cases" / "same.py", folder, extra=extra)
        apps.check(report, "same")
    made = {name: np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in ("krita", "gimp")}
    return {**made, "files": apps.harmonized(picture, mask, folder, "tiny"), "before": picture, "mask": mask}


@pytest.mark.parametrize("host", ["krita", "gimp"])
def test_outside_the_selection_it_is_the_picture_bit_by_bit(saved: dict[str, np.ndarray], host: str) -> None:
    outside = saved["mask"] == 0
    assert outside.sum() > 10_000
    assert np.array_equal(saved[host][outside], saved["before"][outside])


@pytest.mark.parametrize("host", ["krita", "gimp"])
def test_inside_it_is_what_the_command_line_makes(saved: dict[str, np.ndarray], host: str) -> None:
    """At soft edges each host blends and rounds in its own way."""
    apart = np.abs(saved[host].astype(int) - saved["files"])
    inside, soft = saved["mask"] == 255, (saved["mask"] > 0) & (saved["mask"] < 255)
    assert np.abs(saved["files"].astype(int) - saved["before"])[inside].mean() > 3
    # One value in 100,000 may be rounded the other way, as the daemon works in other tiles.
    assert apart[inside].max() <= 1
    assert np.mean(apart[inside] > 0) < 1e-4
    assert soft.sum() > 1000
    assert apart[soft].max() <= 1
