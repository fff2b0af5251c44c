"""What the person sees in a real GIMP under a screen, once with the weights that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import numpy as np
import pytest
from gimp_app import Profile
from PIL import Image

from glihamba.models import registry

SCRIPT = gimp_app.HERE / "cases" / "look.py"
SHOTS = ("menu", "dialog", "result", "progress", "message")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("look")


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Any, folder: Path, artefacts: Path) -> dict[str, Any]:
    extra = {"TEST_SIZE": apps.demo_layers(folder, "RGBA"), "TEST_VENDOR": str(profile.vendor)}
    return gimp_app.run(profile, SCRIPT, folder, extra=extra, screen=True, keep=artefacts)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)


@pytest.mark.parametrize("name", SHOTS)
def test_screenshots_show_something(report: dict[str, Any], artefacts: Path, name: str) -> None:
    image = Image.open(artefacts / f"{name}.png").convert("RGB")
    assert image.size == (1280, 800)
    assert len(image.getcolors(image.width * image.height) or ()) > 500


def test_the_default_does_in_gimp_what_it_does_in_files(
    report: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    size = apps.check(report, "menu_dialog_result_undo_repeat")["size"]
    before, after, mask = apps.left(folder, "demo", "before", "after", "mask", size=size)
    wanted = apps.harmonized(before, mask, tmp_path, registry.DEFAULT)
    assert np.array_equal(before[mask == 0], after[mask == 0])
    # One value in 100,000 may be rounded the other way, as the editor's opaque pixels have an alpha.
    apart = np.abs(wanted.astype(int) - after[..., :3])[mask == 255]
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 1e-4
    # The drum was lit by a lamp: in the forest's daylight it must lose a part of the orange.
    warmth = [
        float((image[mask > 200, 0].astype(float) - image[mask > 200, 2]).mean()) for image in (before, after)
    ]
    assert warmth[1] < warmth[0] - 10
