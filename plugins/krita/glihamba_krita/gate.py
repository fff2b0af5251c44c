"""Says what is wrong where the plugin cannot run. Parses in Python 3.6; needs nothing but Krita and Qt."""

import re

from krita import Extension

try:
    from PyQt5.QtWidgets import QMessageBox
except ImportError:
    from PyQt6.QtWidgets import QMessageBox

OLDEST_PYTHON = (3, 10)
OLDEST_KRITA = (5, 1)
TITLE = "GLIHamba"


def too_old(python, krita):
    """A sentence where Python (a version_info) or Krita (its version's text) is too old, else nothing."""
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


def damaged(error):
    return (
        f"The GLIHamba plugin is damaged or clashes with another plugin ({type(error).__name__}: {error}). "
        "Install it again with install.py."
    )


class StandIn(Extension):
    """In the plugin's place: the same menu entry, which says why there is no plugin."""

    def __init__(self, parent, why):
        super().__init__(parent)
        self.why = why
        self.box = None

    def setup(self):
        pass

    def createActions(self, window):
        action = window.createAction("glihamba_harmonize", "Harmonize layer", "tools/scripts")
        action.triggered.connect(self.say)

    def say(self, *_):
        self.box = QMessageBox(QMessageBox.Icon.Warning, TITLE, self.why)
        self.box.setModal(False)
        self.box.show()
