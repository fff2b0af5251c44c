"""GIMP as a host of the use case: reads layers of one image, and adds their results to it.

The plugin is a process of its own, so that it may block: it reads and writes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gi.repository import Gimp

from glihamba_client import streams, texts
from glihamba_client.harmonize_layer import harmonize_capture
from glihamba_client.host import Capture, Choice, Harmonized, Progress, Steps, at_once
from glihamba_client.preview import PARTS, Preview
from glihamba_client.service import DaemonService
from glihamba_proto.checks import STRONGEST

from . import capture, deliver, edges, filters, fit
from .chosen import ChosenLayer, objects
from .seen import Seen
from .texts import refusal, text


class GimpHost:
    """One act of harmonizing the layers among `drawables`; raises `ClientError` when there are none.

    Afterwards `added` is what has been added, from the lowest up, or `failure` says why there is nothing.
    """

    def __init__(self, image: Gimp.Image, drawables: Sequence[Gimp.Drawable], language: str = "") -> None:
        self.image, self.language = image, language
        self.chosen = objects(image, drawables, language)
        self.added: list[Gimp.Layer] = []
        self.failure = ""
        self._done: list[deliver.Done] = []
        self._seen: Seen | None = None
        self._came = b""
        self._shown = ""

    # --- what a person asks for -------------------------------------------------------------------

    def set_up(self, label: str, edge: int) -> None:
        """What is to be read of the layers.

        label: only layers of this colour label count as the scene; "all": all that is seen below a layer.
        edge: how many pixels of the rim are cleaned up.
        """
        for one in self.chosen:
            one.label, one.edge = "" if label == "all" else label, edge

    def add_pixels(self, service: DaemonService, choices: Sequence[Choice]) -> Steps[None]:
        """Harmonize all layers, from the lowest up, each in the picture with the results of those before it.

        choices: the corrections to add to each, the first one shown. Up to 1, the strength becomes the
        results' opacity, so that it can be changed afterwards.
        """
        for _ in self.chosen:
            yield from self._corrected(service, choices)
        self.added = deliver.deliver(self.image, self._done)

    def add_all(self, service: DaemonService, choice: Choice) -> Steps[None]:
        """The same with every correction that the daemon proposes for each layer."""
        for one in self.chosen:
            self.begin()
            answer = yield from self._predicted(service, capture.small(one, self._done), choice.model)
            yield from self._corrected(service, [proposed(choice, each) for each in answer.variants])
        self.added = deliver.deliver(self.image, self._done)

    def _corrected(self, service: DaemonService, choices: Sequence[Choice]) -> Steps[None]:
        """Harmonize the next layer, and keep its results until all are there."""
        captured = yield from self.capture()
        found: list[deliver.Corrected] = []
        warnings: list[str] = []
        for choice in choices:
            full = replace(choice, strength=max(1.0, choice.strength))
            harmonized = yield from harmonize_capture(self, service, captured, full)
            yield from self.deliver(harmonized)
            found.append(deliver.Corrected(self._came, min(1.0, choice.strength)))
            warnings += harmonized.warnings
        assert self._seen is not None
        one, result = self.chosen[self.turn], deliver.Pixels(self._seen, found)
        for warning in dict.fromkeys(warnings):
            self.message(warning)
        self._done.append(deliver.Done(one, self._seen.place, result))

    def add_filters(self, service: DaemonService, choice: Choice) -> Steps[None]:
        """The same with a filter for each layer; the strength becomes its opacity."""
        for one in self.chosen:
            self.begin()
            small = capture.small(one, self._done)
            answer = yield from self._predicted(service, small, choice.model)
            preview = Preview(small.shown, small.shown_mask, answer.variants[0])
            found = fitted(small, preview, max(1.0, choice.strength), amounts_of(choice))
            self._done.append(filter_of(one, small, found, choice.strength))
            for warning in streams.warnings(answer, self.language):
                self.message(warning)
            if found.levels > fit.GOOD:
                levels = f"{found.levels:.1f}"
                self.message(text("filter error", self.language, layer=one.name, levels=levels))
        self.added = deliver.deliver(self.image, self._done)

    def add_filter(self, small: capture.Small, found: fit.Fit, strength: float) -> Steps[None]:
        """A filter that has been found already, and its error shown, for the one chosen layer."""
        yield from ()
        self.begin()
        self._done.append(filter_of(self.chosen[0], small, found, strength))
        self.added = deliver.deliver(self.image, self._done)

    def _predicted(self, service: DaemonService, small: capture.Small, model: str) -> Steps[Any]:
        task = service.predict(small.composite, small.mask, model)
        try:
            while not task.wait(0):
                self.progress(task.progress())
                yield task.wait
            return task.result()
        finally:
            task.cancel()

    # --- what the use case asks for ---------------------------------------------------------------

    @property
    def turn(self) -> int:
        """The number of the layer that is being harmonized; the last one's when all are."""
        return min(len(self._done), len(self.chosen) - 1)

    def begin(self) -> None:
        """Raises `ClientError` when a layer can no longer be harmonized."""
        for one in self.chosen:
            one.check()
        if not self._done:
            Gimp.progress_init(text("reading", self.language))

    @at_once
    def capture(self) -> Capture:
        self.begin()
        captured, self._seen = capture.read(self.chosen[self.turn], self._done)
        return captured

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        """Keep the pixels; all layers' are added in one undo step."""
        assert self._seen is not None
        self.show(text("writing", self.language), 1.0)
        self._came = bytes(harmonized.plane.data)
        if self._seen.edge is not None:
            size, form, edge = self._seen.rect[2:], self._seen.form, self._seen.edge
            self._came = edges.recoloured(self.image, size, self._came, form, edge)

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
        is_named = any(f"{quote}{one.name}" in text for quote in "“„" for one in self.chosen)
        return text if len(self.chosen) == 1 or is_named else f"{self.chosen[self.turn].name}: {text}"

    def show(self, words: str, fraction: float) -> None:
        """Show how far the job is; `fraction` is of one layer."""
        words = f"{self.chosen[self.turn].name}: {words}…"
        if words != self._shown:
            self._shown = words
            Gimp.progress_set_text(words)
        Gimp.progress_update((self.turn + fraction) / len(self.chosen))


def proposed(choice: Choice, variant: Any) -> Choice:
    """What is chosen, with one of the daemon's corrections."""
    strength = min(STRONGEST, choice.strength * variant.strength)
    return replace(choice, strength=strength, transform=variant.transform)


def amounts_of(choice: Choice) -> dict[str, float]:
    """The amounts of the correction's parts by their names."""
    if choice.amounts is None:
        return {}
    return {name: getattr(choice.amounts, name) for name in PARTS if choice.amounts.HasField(name)}


def fitted(
    small: capture.Small, preview: Preview, strength: float = 1.0, amounts: dict[str, float] | None = None
) -> fit.Fit:
    """The filter nearest to the correction of the object's own pixels."""
    after = preview.pixels(strength, amounts)
    before, mask = bytes(small.shown.data), bytes(small.shown_mask.data)
    covered = max(mask, default=0)  # where it is covered most, the composite has the object's own colours
    places = [place for place, cover in enumerate(mask) if cover == covered]
    colours = [b"".join(all_[3 * at : 3 * at + 3] for at in places) for all_ in (before, after)]
    return fit.best(*colours, offsets=filters.HAVE_OFFSETS)


def filter_of(chosen: ChosenLayer, small: capture.Small, found: fit.Fit, strength: float) -> deliver.Done:
    """Raises `ClientError` for a group that is passed through: its filter changes what lies below, too."""
    if chosen.layer.get_mode() == Gimp.LayerMode.PASS_THROUGH:
        raise refusal("passed through", layer=chosen.name)
    return deliver.Done(chosen, small.place, deliver.Filter(found, min(1.0, strength)))
