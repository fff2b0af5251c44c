"""What changes in a real Krita while a harmonization runs."""

from __future__ import annotations

from typing import Any

import krita_app
import pytest
from krita_app import Profile

from glihamba.daemon.server import Daemon

SCRIPT = krita_app.HERE / "cases" / "meanwhile.py"


@pytest.fixture(scope="module")
def report(profile: Profile, daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return krita_app.run(profile, SCRIPT, tmp_path_factory.mktemp("meanwhile"))


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)
