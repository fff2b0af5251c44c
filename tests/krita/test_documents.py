"""Documents as people have them, in a real Krita with the real daemon."""

from __future__ import annotations

from typing import Any

import krita_app
import pytest

SCRIPT = krita_app.HERE / "cases" / "documents.py"


@pytest.mark.parametrize("case", krita_app.cases_of(SCRIPT))
def test_in_krita(report: dict[str, Any], case: str) -> None:
    krita_app.check(report, case)
