"""GIMP as a host of the use case: reads layers of one image, and adds their results to it.

The plugin is a process of its own, so that it may block: it reads and writes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gi.repository import Gimp

from glihamba_client import texts
from glihamba_client.harmonize_layer import Service, harmonize_layer
from glihamba_client.host import AS_PREDICTED, Capture, Choice, Harmonized, Progress, Steps, at_once

from . import capture, deliver
from .chosen import objects
from .texts import text


class GimpHost:
    """One act of harmonizing the layers among `drawables`; raises `ClientError` when there are none.

    Afterwards `added` is what has been added, from the lowest up, or `failure` says why there is nothing.
    """

    def __init__(self, image: Gimp.Image, drawables: Sequence[Gimp.Drawable], language: str = "") -> None:
        self.image, self.language = image, language
        self.chosen = objects(image, drawables, language)
        self.opacity = 1.0
        self.added: list[Gimp.Layer] = []
        self.failure = ""
        self._done: list[deliver.Done] = []
        self._seen: capture.Seen | None = None
        self._shown = ""

    def harmonize(self, service: Service, choice: Choice = AS_PREDICTED) -> Steps[None]:
        """All layers, from the lowest up, each in the picture with the results of those before it.

        Up to 1, the strength becomes the results' opacity, so that it can be changed afterwards.
        """
        self.opacity = min(1.0, choice.strength)
        for _ in self.chosen:
            yield from harmonize_layer(self, service, replace(choice, strength=max(1.0, choice.strength)))
        self.added = deliver.deliver(self.image, self._done)

    @property
    def turn(self) -> int:
        """The number of the layer that is being harmonized; the last one's when all are."""
        return min(len(self._done), len(self.chosen) - 1)

    @at_once
    def capture(self) -> Capture:
        for one in self.chosen:
            one.check()
        if not self._done:
            Gimp.progress_init(text("reading", self.language))
        captured, self._seen = capture.read(self.chosen[self.turn], self._done)
        return captured

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        """Keep the result until all are there."""
        assert self._seen is not None
        self.show(text("writing", self.language), 1.0)
        pixels = bytes(harmonized.plane.data)
        self._done.append(deliver.Done(self.chosen[self.turn], self._seen, pixels, self.opacity))

    def progress(self, progress: Progress) -> None:
        self.show(texts.stage(progress, self.language), progress.fraction)

    def cancelled(self) -> bool:
        return False  # GIMP's Cancel ends this process, and with it the job

    def message(self, text: str, failed: bool = False) -> None:
        if failed:
            self.failure = self.about_layer(text)
        else:
            Gimp.message(self.about_layer(text))

    def about_layer(self, text: str) -> str:
        """The sentence, with the layer's name if there are several and it does not say."""
        name = self.chosen[self.turn].name
        is_named = any(f"{quote}{name}" in text for quote in "“„")
        return text if len(self.chosen) == 1 or is_named else f"{name}: {text}"

    def show(self, words: str, fraction: float) -> None:
        """Show how far the job is; `fraction` is of one layer."""
        words = f"{self.chosen[self.turn].name}: {words}…"
        if words != self._shown:
            self._shown = words
            Gimp.progress_set_text(words)
        Gimp.progress_update((self.turn + fraction) / len(self.chosen))
