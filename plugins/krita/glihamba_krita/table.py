"""The previewed correction as a look-up table in a file, for video and for other editors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glihamba_client.errors import ClientError
from glihamba_client.lut import cube

from .qt import QFileDialog, QWidget
from .texts import text

SUFFIX = "cube"


def ask_where(parent: QWidget, name: str, language: str, chosen: Callable[[str], None]) -> None:
    """Have the person name a file; `chosen` is called with its path, and nothing waits for it."""
    dialog = QFileDialog(parent, text("save table", language), f"{name}.{SUFFIX}", f"*.{SUFFIX}")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(SUFFIX)
    dialog.fileSelected.connect(chosen)
    dialog.open()


def save(path: str, variant: Any, strength: float, amounts: Mapping[str, float], name: str) -> None:
    """Write the table of a variant. Raises ClientError FILE_NOT_WRITTEN."""
    try:
        Path(path).write_text(cube(variant, strength, amounts, name), "ascii", "backslashreplace")
    except OSError as error:
        raise ClientError("FILE_NOT_WRITTEN", path=path, reason=error.strerror) from error
