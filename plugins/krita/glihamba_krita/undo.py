"""What Edit > Undo says of a result. Krita names undo steps itself: its API has no way to name one."""

from __future__ import annotations

import contextlib

from krita import Krita

from .qt import QTimer

LATEST = 5000  # milliseconds until Krita has named a step at the latest


def name_next_step(words: str) -> None:
    """Have the menu entry say `words` instead of Krita's name ("Quick Group") for the step that comes next.

    Krita writes the entry once for each step, up to a second after it. After an undo and a redo, and in the
    undo history, the step has Krita's name.
    """
    action = Krita.instance().action("edit_undo")
    waiting = [True]

    def renamed() -> None:
        if waiting and action.text() != words:
            waiting.clear()
            action.setText(words)

    def stop() -> None:
        waiting.clear()
        with contextlib.suppress(RuntimeError):  # it was deleted with its window
            action.changed.disconnect(renamed)

    action.setText(words)
    action.changed.connect(renamed)
    QTimer.singleShot(LATEST, stop)
