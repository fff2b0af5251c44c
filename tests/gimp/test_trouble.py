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


@pytest.fixture(scope="module")
def report(
    profile: Profile, daemon: Any, person: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("trouble")
    link = folder / "data"  # a case makes it point to another person's folder
    link.symlink_to(person)
    extra = {"GLIHAMBA_DATA_DIR": str(link), "TEST_VENDOR": str(profile.vendor)}
    return gimp_app.run(profile, SCRIPT, folder, extra=extra)


@pytest.mark.parametrize("case", apps.cases_of(SCRIPT))
def test_in_gimp(report: dict[str, Any], case: str) -> None:
    apps.check(report, case)


@pytest.fixture
def damaged(gimp: None, tmp_path: Path) -> Profile:
    """A separate GIMP, whose plug-in a test may damage."""
    made = Profile(tmp_path / "profile")
    assemble.assemble("gimp", made.plugins)
    return made


def said(damaged: Profile, folder: Path) -> str:
    """Return the procedure's answer in the damaged GIMP. Its menu entry must exist in any case."""
    report = gimp_app.run(damaged, gimp_app.HERE / "cases" / "broken.py", folder)
    facts = apps.check(report, "broken")
    assert facts["menu"] == "Har_monize…"
    return str(facts["said"])


def test_a_damaged_plugin_says_so(damaged: Profile, daemon: Any, tmp_path: Path) -> None:
    (damaged.vendor / "grpclib" / "client.py").write_text("raise ImportError('half a file')\n")
    assert said(damaged, tmp_path) == (
        "The GLIHamba plugin is damaged or clashes with another plugin (ImportError: half a file). "
        "Install it again with install.py."
    )


def test_a_plugin_without_its_vendor_folder_says_so(damaged: Profile, daemon: Any, tmp_path: Path) -> None:
    shutil.rmtree(damaged.vendor)
    words = said(damaged, tmp_path)
    assert words.startswith("The GLIHamba plugin is damaged")
    assert "glihamba_client" in words


def test_a_python_that_is_too_old_is_said(damaged: Profile, daemon: Any, tmp_path: Path) -> None:
    script = damaged.plugins / "glihamba" / "glihamba.py"
    old = "import sys\nsys.version_info = (3, 9, 1, 'final', 0)\n"
    script.write_text(script.read_text("utf-8").replace("import sys\n", old))
    assert said(damaged, tmp_path) == (
        "GLIHamba needs a GIMP with Python 3.10 or newer, and this one has 3.9. Update GIMP."
    )
