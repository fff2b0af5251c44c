"""A plugin's files without its editor: modules loaded one by one, and their texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from glihamba_proto import messages


def load(path: Path) -> Any:
    """Load a module that needs no editor."""
    spec = importlib.util.spec_from_file_location(f"plugin_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def left_over(editor: str, folder: Path) -> list[str]:
    """The editor's texts (KRITA or GIMP) in the catalogue that no module in the folder names."""
    sources = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    names = [key.partition(".")[2] for key in messages.catalogue("en") if key.startswith(f"{editor}.")]
    assert names
    return [name for name in names if f'"{name}"' not in sources]
