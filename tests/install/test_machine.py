"""install.py refuses machines on which the installation would fail later."""

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


@pytest.mark.parametrize(
    "tail",
    [
        "Failed to establish a new connection: [Errno 101] Network is unreachable",
        "error: Failed to fetch\n  Caused by: client error (Connect)",
    ],
)
def test_pip_and_uv_without_a_network_are_understood(tmp_path: Path, tail: str) -> None:
    said = machine.sentence_for(tail, Root(tmp_path), offline=False)
    assert said.startswith(
        "The package index did not provide a package that is needed: check the network (or proxy)"
    )
