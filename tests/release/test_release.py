"""tools/release.py: what it refuses, and what this checkout says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import glihamba
import glihamba_client

REPOSITORY = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", REPOSITORY / "tools" / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["release"] = module
    spec.loader.exec_module(module)
    return module


release = load()
CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\n## 1.2.3 (2026-11-29)\n\n- New.\n\n## 1.2.2 (2026-11-01)\n\n- Old.\n"
)


def test_this_checkout_has_one_version_with_a_dated_section() -> None:
    version = release.version_of((REPOSITORY / release.VERSION_FILE).read_text("utf-8"))
    assert release.strays(version) == []
    assert glihamba.__version__ == glihamba_client.__version__ == version
    assert f"\n## {version} (20" in (REPOSITORY / "CHANGELOG.md").read_text("utf-8")


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release.notes_of(CHANGELOG, "1.2.3") == "- New.\n"
    assert release.notes_of(CHANGELOG, "1.2.2") == "- Old.\n"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("## Unreleased\n", "## Unreleased\n\n- More.\n", 'has entries under "Unreleased"'),
        ("1.2.3 (2026-11-29)", "1.2.4 (2026-11-29)", "has no entries for 1.2.3"),
        ("- New.", "", "has no entries for 1.2.3"),
        (" (2026-11-29)", "", "gives 1.2.3 no date"),
        ("2026-11-29", "2026-13-29", "gives 1.2.3 no date"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(old: str, new: str, sentence: str) -> None:
    with pytest.raises(release.ReleaseError, match=sentence):
        release.notes_of(CHANGELOG.replace(old, new, 1), "1.2.3")


@pytest.mark.parametrize(
    "text", ["", '__version__ = "1.2"\n', '__version__ = "1.2.3"\n__version__ = "1.2.3"\n']
)
def test_a_version_must_be_stated_once_and_in_full(text: str) -> None:
    with pytest.raises(release.ReleaseError, match=r"MAJOR\.MINOR\.PATCH"):
        release.version_of(text)


def test_a_second_version_number_is_found(tmp_path: Path) -> None:
    module = tmp_path / "plugins" / "other.py"
    module.parent.mkdir()
    module.write_text('__version__ = "1.0.0"\n', "utf-8")
    assert release.strays("1.2.3", tmp_path) == ["plugins/other.py"]
