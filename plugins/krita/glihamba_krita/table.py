"""The previewed correction as a look-up table in a file, for video and for other editors."""

from __future__ import annotations

from collections.abc import Callable

from glihamba_client.lut import SUFFIX

from .qt import QFileDialog, QWidget
from .texts import text


def ask_where(parent: QWidget, name: str, language: str, chosen: Callable[[str], None]) -> None:
    """Have the person name a file; `chosen` is called with its path, and nothing waits for it."""
    dialog = QFileDialog(parent, text("save table", language), f"{name}.{SUFFIX}", f"*.{SUFFIX}")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(SUFFIX)
    dialog.fileSelected.connect(chosen)
    dialog.open()
