"""Krita as a host of the use case: reads one layer of one document, adds one result. GUI thread only."""

from __future__ import annotations

import time
from typing import Protocol

from krita import Document, Node

from glihamba_client.harmonize_layer import until_cancelled
from glihamba_client.host import Capture, Harmonized, Progress, Steps

from .animation import Frames, has_frames
from .capture import Reading, Seen
from .chosen import ChosenLayer
from .deliver import Delivery
from .texts import text
from .turns import Turns
from .workspace import Workspace

LOOK = 0.3  # seconds between two looks whether the document is still there


class JobWindow(Protocol):
    """What the host shows to the person, and hears of them."""

    cancelled: bool

    def show_layer(self, name: str) -> None: ...
    def show_progress(self, progress: Progress) -> None: ...
    def show_stage(self, words: str) -> None: ...
    def message(self, words: str, failed: bool) -> None: ...
    def leave(self) -> None:
        """The job has ended."""


class KritaHost:
    """One act of harmonizing `node` of `document`. All hosts of one Krita share their `turns`."""

    def __init__(
        self,
        document: Document,
        node: Node,
        window: JobWindow,
        turns: Turns,
        language: str = "",
        is_editable: bool = False,
        scene: str = "all",
        edge: int = 0,
    ) -> None:
        """scene, edge: see `ChosenLayer`."""
        self.layer = ChosenLayer(document, node, language, scene, edge)
        self.window, self.turns, self.language = window, turns, language
        self.is_editable = is_editable
        self.workspace = Workspace()
        self._seen: Seen | None = None
        self._delivery: Delivery | None = None
        self._kept: list[Node] = []
        self._looked = 0.0

    def capture(self) -> Steps[Capture]:
        self.window.show_layer(self.layer.name)
        self.window.show_stage(text("reading", self.language))
        yield None  # the progress is drawn
        capture, self._seen = yield from Reading(self.layer, self.workspace).read()
        self._delivery = Delivery(self.layer, self._seen, self.workspace, self.is_editable)
        return capture

    def has_frames(self) -> bool:
        """Whether the layer's frames are corrected one by one; raises `ClientError` when nothing can be."""
        return has_frames(self.layer, self.is_editable)

    def frames(self, like: Capture) -> Frames:
        """The frames of the layer that has been captured."""
        assert self._seen is not None
        return Frames(self.layer, self._seen, self.workspace, like)

    def show_part(self, kind: str, number: int, count: int) -> None:
        """Say which part of the job begins: the "frame" or "correction" of that number, 1 for the first."""
        self.window.show_layer(text(kind, self.language, layer=self.layer.name, number=number, count=count))

    def keep(self, harmonized: Harmonized) -> Steps[None]:
        """Prepare a result; `add_kept` adds it."""
        assert self._delivery is not None
        self.window.show_stage(text("writing", self.language))
        result = yield from until_cancelled(self, self._delivery.prepared(harmonized.plane.data))
        self._kept.append(result)

    def keep_frames(self, frames: Frames) -> None:
        """The same for the result of all frames."""
        self._kept.append(frames.result)
        if self.layer.edge and self._delivery is not None:
            self._delivery.note("no edge")

    def add_kept(self) -> Steps[None]:
        """Add what was kept, the first on top, as one undo step; see `Delivery.add`."""
        assert self._delivery is not None
        assert self._seen is not None
        yield from self.turns.hold(self._delivery.add(self._kept))
        for note in dict.fromkeys(self._delivery.notes):
            self.message(note)
        if self._seen.is_hidden:
            self.message(text("still hidden", self.language, layer=self.layer.name))

    def deliver(self, harmonized: Harmonized) -> Steps[None]:
        yield from self.keep(harmonized)
        yield from self.add_kept()

    def progress(self, progress: Progress) -> None:
        if not self.window.cancelled and time.monotonic() >= self._looked + LOOK:
            self._looked = time.monotonic()
            self.layer.check_open()
        self.window.show_progress(progress)

    def cancelled(self) -> bool:
        return self.window.cancelled

    def message(self, text: str, failed: bool = False) -> None:
        self.window.message(text, failed)

    def release(self) -> None:
        """Return Krita's memory."""
        self.workspace.close()
