"""GIMP as a host of the use case: reads one layer of one image, adds one result above it.

The plugin is a process of its own, so that it may block: it reads and writes at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from gi.repository import Gimp

from glihamba_client import texts
from glihamba_client.host import Capture, Harmonized, Progress, at_once

from . import capture, deliver
from .chosen import ChosenLayer
from .texts import text


class GimpHost:
    """One act of harmonizing the one layer among `drawables`; raises `ClientError` when there is none.

    Afterwards `added` is the new layer, or `failure` says why there is none.
    """

    def __init__(self, image: Gimp.Image, drawables: Sequence[Gimp.Drawable], language: str = "") -> None:
        self.chosen, self.language = ChosenLayer(image, drawables, language), language
        self.added: Gimp.Layer | None = None
        self.failure = ""
        self._seen: capture.Seen | None = None
        self._shown = ""

    @at_once
    def capture(self) -> Capture:
        self.chosen.check()
        Gimp.progress_init(text("reading", self.language))
        captured, self._seen = capture.read(self.chosen)
        return captured

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        assert self._seen is not None
        self.show(text("writing", self.language), 1.0)
        self.added = deliver.replace(self.chosen, self._seen, bytes(harmonized.plane.data))

    def progress(self, progress: Progress) -> None:
        self.show(texts.stage(progress, self.language), progress.fraction)

    def cancelled(self) -> bool:
        return False  # GIMP's Cancel ends this process, and with it the job

    def message(self, text: str, failed: bool = False) -> None:
        if failed:
            self.failure = text
        else:
            Gimp.message(text)

    def show(self, words: str, fraction: float) -> None:
        """Show how far the job is."""
        if words != self._shown:
            self._shown = words
            Gimp.progress_set_text(f"{self.chosen.name}: {words}…")
        Gimp.progress_update(fraction)
