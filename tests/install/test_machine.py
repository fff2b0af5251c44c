"""Machines on which an installation would fail later are told so first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from installer import machine
from installer.console import InstallError
from installer.layout import Root


def test_the_stores_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "WINDOWS", True)
    monkeypatch.setattr(sys, "base_prefix", r"C:\Program Files\WindowsApps\PythonSoftwareFoundation")
    with pytest.raises(InstallError, match=r"run install\.py with the Python from python\.org"):
        machine.check(Root(tmp_path / "there"), "cpu")
