"""Which installations use an editor's plugin, so that one that is removed leaves the others' working.

Every installation has its own folder, but an editor has one plugin for all of them. A note beside the plugin
names the folders; each counts as long as its own state says that it has the plugin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from glihamba_proto import documents, places
from installer.editors import Editor
from installer.layout import Root, default_root, write_whole


def add(editor: Editor, root: Root) -> None:
    """Note that this installation uses the editor's plugin. Raises OSError."""
    _write(editor, {*_noted(editor), root.path.resolve()})


def others(editor: Editor, root: Root) -> list[Path]:
    """The folders of the other installations that use the editor's plugin."""
    usual = default_root(), places.default_data_folder()  # those of versions that wrote no note
    folders = {path.resolve() for path in (*_noted(editor), *usual)} - {root.path.resolve()}
    return sorted(path for path in folders if _uses(Root(path), editor))


def release(editor: Editor, root: Root) -> list[Path]:
    """Remove the plugin, or this installation's name from its note if others use it. Returns the others."""
    left = others(editor, root)
    if left:
        _write(editor, left)
    else:
        editor.remove()
    return left


def _uses(root: Root, editor: Editor) -> bool:
    return editor.entry in (root.load().current or {}).get("plugins", [])


def _noted(editor: Editor) -> set[Path]:
    """The folders that the note names; a missing or damaged note names none."""
    try:
        folders = documents.read(editor.note)["installations"]
        return {Path(folder) for folder in folders if isinstance(folder, str)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _write(editor: Editor, folders: Iterable[Path]) -> None:
    names = sorted(map(str, folders))
    write_whole(editor.note, json.dumps({"installations": names}, indent=2) + "\n")
