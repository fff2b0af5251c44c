"""The dialog of a real GIMP under a screen, with the real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apps
import gimp_app
import pytest
from gimp_app import Profile
from PIL import Image

SCRIPT = gimp_app.HERE / "cases" / "dialog.py"
SHOTS = (
    "choices",
    "preview",
    "divider",
    "split",
    "filter",
    "filtered",
    "variant",
    "several",
    "help",
    "settings",
)


@pytest.fixture(scope="module")
def report(
    profile: Profile, daemon: Any, artefacts: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dialog")
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
