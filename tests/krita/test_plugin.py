"""The plugin's files without a Krita: the syntax for old Pythons, the messages in both languages."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import assemble
import pytest
import words

PLUGIN = Path(assemble.__file__).parent / "krita" / "glihamba_krita"
READABLE_BY_OLD = ("__init__.py", "gate.py")


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("*.py")), ids=lambda path: path.name)
def test_the_syntax(path: Path) -> None:
    oldest = (3, 7) if path.name in READABLE_BY_OLD else (3, 10)
    ast.parse(path.read_text("utf-8"), str(path), feature_version=oldest)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, member in (("krita", "Extension"), ("PyQt5", ""), ("PyQt5.QtWidgets", "QMessageBox")):
        module = types.ModuleType(name)
        if member:
            setattr(module, member, object)
        monkeypatch.setitem(sys.modules, name, module)
    return words.load(PLUGIN / "gate.py")


@pytest.mark.parametrize(
    ("python", "krita", "said"),
    [
        ((3, 10, 0), "5.1.5", ""),
        ((3, 14, 0), "6.0.0-beta1 (git 1234)", ""),
        (
            (3, 8, 1),
            "5.2.9",
            "GLIHamba needs a Krita with Python 3.10 or newer, and this one has 3.8. Update Krita.",
        ),
        ((3, 11, 0), "5.0.8", "GLIHamba needs Krita 5.1 or newer, and this is Krita 5.0.8. Update Krita."),
        ((3, 6, 0), "4.4.8", "GLIHamba needs Krita 5.1 or newer, and this is Krita 4.4.8. Update Krita."),
    ],
)
def test_too_old_is_said(gate: Any, python: tuple[int, ...], krita: str, said: str) -> None:
    assert gate.too_old(python, krita) == said


def test_the_words_are_the_catalogue_s() -> None:
    texts = words.load(PLUGIN / "texts.py")
    assert texts.LANGUAGES == {"de": "Deutsch", "en": "English"}
    assert texts.text("busy", "de", layer="Schuh").startswith("„Schuh“ wird schon harmonisiert.")


def test_every_text_that_is_used_exists_and_none_is_left_over() -> None:
    assert not words.left_over("KRITA", PLUGIN)


DIALOGS = """
import sys, types
package = types.ModuleType("glihamba_krita")  # its own __init__ needs Krita
package.__path__ = [sys.argv[1]]
sys.modules["glihamba_krita"] = package
sys.path.append(sys.argv[1] + "/vendor")
from PyQt5.QtWidgets import QApplication, QPushButton
application = QApplication([])
from glihamba_client.host import Progress
from glihamba_client.settings import Settings
from glihamba_krita.dialog import ProgressDialog, SettingsDialog
heard = []
dialog = ProgressDialog(None, "Schuhe", "de", lambda words, failed: heard.append((words, failed)))
dialog.show_progress(Progress("QUEUED", 0.25, 3))
print(dialog.labelText().replace(chr(10), " | "), dialog.value(), dialog.isModal())
dialog.message("etwas", True)
dialog.findChild(QPushButton).click()
print(dialog.cancelled, heard, dialog.findChild(QPushButton).text())
kept = []
settings = SettingsDialog(None, Settings(model="mine", strength=0.5, language="de"), kept.append)
settings.remote.setText(" studio:50051 ")
settings.accept()
print(kept)
settings.done(0)
"""


def test_the_dialogs_in_qt_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offscreen, with the Qt 5 of this system's Python."""
    python = shutil.which("python3", path="/usr/bin")
    if not python or subprocess.run([python, "-c", "import PyQt5.QtWidgets"], capture_output=True).returncode:
        pytest.skip("this system's Python has no PyQt5 (Debian: apt-get install python3-pyqt5)")
    assemble.assemble("krita", tmp_path)
    monkeypatch.setenv("GLIHAMBA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    package = tmp_path / "pykrita" / "glihamba_krita"
    done = subprocess.run([python, "-I", "-B", "-c", DIALOGS, package], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown, cancelled, kept = done.stdout.splitlines()
    assert shown == "Schuhe | Warten auf andere Aufträge (3 weitere vorher)… 25 False"
    assert cancelled == "True [('etwas', True)] Abbrechen"
    assert "model='mine', strength=0.5, remote='studio:50051'" in kept
