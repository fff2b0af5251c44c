"""What goes wrong around a harmonization, in a real GIMP, with real daemons."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apps
import assemble
import gimp_app
import pytest
from gimp_app import Profile

SCRIPT = gimp_app.HERE / "cases" / "trouble.py"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def report(
    profile: Profile, daemon: Any, person: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("trouble")
    link = folder / "data"  # a case leads it to another person's folder
    link.symlink_to(person)
    extra = {"GLIHAMBA_DATA_DIR": str(link), "TEST_VENDOR": str(profile.vendor)}
    return gimp_app.run(profile, SCRIPT, folder, extra=extra)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)


def test_a_damaged_plugin_says_so(gimp: None, daemon: Any, tmp_path: Path) -> None:
    damaged = Profile(tmp_path / "profile")
    assemble.assemble("gimp", damaged.plugins)
    (damaged.vendor / "grpclib" / "client.py").write_text("raise ImportError('half a file')\n")
    report = gimp_app.run(damaged, gimp_app.HERE / "cases" / "broken.py", tmp_path)
    assert apps.check(report, "broken")["said"] == (
        "The GLIHamba plugin is damaged or clashes with another plugin (ImportError: half a file). "
        "Install it again with install.py."
    )
    assert apps.check(report, "broken")["menu"] == "Har_monize…"


def test_a_plugin_without_its_vendor_folder_says_so(gimp: None, daemon: Any, tmp_path: Path) -> None:
    damaged = Profile(tmp_path / "profile")
    assemble.assemble("gimp", damaged.plugins)
    shutil.rmtree(damaged.vendor)
    report = gimp_app.run(damaged, gimp_app.HERE / "cases" / "broken.py", tmp_path)
    said = apps.check(report, "broken")["said"]
    assert said.startswith("The GLIHamba plugin is damaged"), said
    assert "glihamba_client" in said
    assert apps.check(report, "broken")["menu"] == "Har_monize…"
