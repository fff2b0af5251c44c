"""Says why the plugin cannot run. Parses in Python 3.6 and imports only Krita and Qt."""

import re
from typing import TYPE_CHECKING

from krita import Extension

try:
    from PyQt5.QtWidgets import QMessageBox
except ImportError:
    from PyQt6.QtWidgets import QMessageBox

OLDEST_PYTHON = (3, 10)
OLDEST_KRITA = (5, 1)
TITLE = "GLIHamba"

if TYPE_CHECKING:
    from krita import Krita, Window


def too_old(python: "tuple[object, ...]", krita: str) -> str:
    """Why Python (a `sys.version_info`) or Krita (its version as text) is too old; empty if neither is."""
    number = tuple(int(part) for part in re.findall(r"\d+", krita)[:2])
    if number < OLDEST_KRITA:
        wanted = ".".join(map(str, OLDEST_KRITA))
        return f"GLIHamba needs Krita {wanted} or newer, and this is Krita {krita}. Update Krita."
    if tuple(python[:2]) < OLDEST_PYTHON:
        wanted, found = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, python[:2]))
        return (
            f"GLIHamba needs a Krita with Python {wanted} or newer, and this one has {found}. Update Krita."
        )
    return ""


def damaged(error: Exception) -> str:
    """Why the plugin could not be imported."""
    return (
        f"The GLIHamba plugin is damaged or clashes with another plugin ({type(error).__name__}: {error}). "
        "Install it again with install.py."
    )


class StandIn(Extension):
    """Takes the plugin's place: the same menu entry, which says why the plugin cannot run."""

    def __init__(self, parent: "Krita", why: str) -> None:
        super().__init__(parent)
        self.why = why
        self.box: QMessageBox | None = None

    def setup(self) -> None:
        pass

    def createActions(self, window: "Window") -> None:
        action = window.createAction("glihamba_harmonize", "Harmonize layer", "tools/scripts")
        action.triggered.connect(self.say)

    def say(self, *_: object) -> None:
        self.box = QMessageBox(QMessageBox.Icon.Warning, TITLE, self.why)
        self.box.setModal(False)
        self.box.show()
