"""The menu entries, what they work on, and the running jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from krita import Document, Extension, Krita, Node, View, Window

from glihamba_client import __version__, settings
from glihamba_client.harmonize_layer import Service
from glihamba_client.host import Choice
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_proto import places
from glihamba_proto.errors import Failure

from .dialog import ProgressDialog, SettingsDialog, say
from .host import JobWindow, KritaHost
from .job import LayerJob, harmonized
from .nodes import all_selected_in, selected_in
from .qt import QMessageBox, QTimer, QWidget
from .results import original_of
from .slots import slot
from .texts import refusal, text
from .turns import Turns

HARMONIZE, SETTINGS = "glihamba_harmonize", "glihamba_settings"
NAME = f"krita/{__version__}"


class HarmonizeExtension(Extension):
    """One for each Krita, with any number of windows."""

    def __init__(self, parent: Krita) -> None:
        super().__init__(parent)
        self.jobs: list[LayerJob] = []
        self.is_quitting = False
        self.turns = Turns()
        self.language = ""
        self.dialog: SettingsDialog | None = None
        self.box: QMessageBox | None = None

    def setup(self) -> None:
        """Krita calls this once. A job must not keep Krita from ending, nor open a box then."""
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        notifier.applicationClosing.connect(self.quit)

    @slot
    def quit(self) -> None:
        self.is_quitting = True
        for job in self.jobs:
            job.cancel()

    @slot
    def createActions(self, window: Window) -> None:
        """Krita calls this once for each of its windows."""
        try:
            self.language = settings.read(places.settings_file()).language
        except (Failure, ValueError):
            pass  # the person is told when they use the action
        for name, label, used in (
            (HARMONIZE, "harmonize", self.harmonize),
            (SETTINGS, "settings", self.change_settings),
        ):
            action = window.createAction(name, text(label, self.language), "tools/scripts")
            action.triggered.connect(used)
            if name == HARMONIZE:
                action.setToolTip(text("tip", self.language))

    @slot
    def harmonize(self, *_: Any) -> None:
        """Begin to harmonize the chosen layers."""
        chosen = settings.read(places.settings_file())
        self.language = chosen.language
        document, node = self.chosen()
        nodes = self.all_chosen() or [node]
        dialog = ProgressDialog(main_window(), node.name(), chosen.language, self.message)
        self.begin(document, nodes, chosen, [Choice(chosen.model, chosen.strength)], dialog)
        dialog.show()

    def chosen(self) -> tuple[Document, Node]:
        """The document and the active layer, which has no job yet; raises `ClientError`."""
        view = self.view()
        node = selected_in(view)
        if node is None:
            raise refusal("no layer")
        node = original_of(node)
        self.check_free(node)
        return view.document(), node

    def all_chosen(self) -> list[Node]:
        """The chosen layers, from the lowest up, which have no job yet; raises `ClientError`."""
        found = {node.uniqueId().toString(): node for node in map(original_of, all_selected_in(self.view()))}
        for node in found.values():
            self.check_free(node)
        return list(found.values())

    def check_free(self, node: Node) -> None:
        """Raises `ClientError` when the layer has a job."""
        if any(job.is_of(node) for job in self.jobs):
            raise refusal("busy", layer=node.name())

    def view(self) -> View:
        """Where the person looks; raises `ClientError`."""
        window = Krita.instance().activeWindow()
        view = window.activeView() if window is not None else None
        if view is None or Krita.instance().activeDocument() is None:
            raise refusal("no document")
        return view

    def begin(
        self,
        document: Document,
        nodes: list[Node],
        chosen: Settings,
        choices: Sequence[Choice],
        window: JobWindow,
        service: Service | None = None,
        scene: str = "all",
        edge: int = 0,
    ) -> LayerJob:
        """Begin a job; its first step comes when Krita has drawn.

        choices: the corrections to add, the first one shown. scene, edge: see `ChosenLayer`.
        """
        is_editable = chosen.result == "curves"
        hosts = [
            KritaHost(document, node, window, self.turns, chosen.language, is_editable, scene, edge)
            for node in nodes
        ]
        steps = harmonized(hosts, service or DaemonService(chosen, name=NAME), choices, chosen.language)
        job = LayerJob(hosts, window, steps, self.jobs.remove)
        self.jobs.append(job)
        QTimer.singleShot(0, job.step)
        return job

    @slot
    def change_settings(self, *_: Any) -> None:
        def keep(wanted: Settings) -> None:
            settings.save(wanted, places.settings_file())
            self.language = wanted.language

        chosen = settings.read(places.settings_file())
        if self.dialog is not None:
            with contextlib.suppress(RuntimeError):  # it was deleted with the window it belonged to
                self.dialog.done(0)
        self.dialog = SettingsDialog(main_window(), chosen, keep)
        self.dialog.show()

    def message(self, words: str, failed: bool) -> None:
        """Show a failure in a box, and a warning as a note that floats over the picture."""
        window = Krita.instance().activeWindow()
        if window is None or self.is_quitting:
            return  # nobody is there to read it, and a box without a window would keep Krita alive
        view = window.activeView()
        if failed or view is None:
            self.box = say(main_window(), words)
        else:
            view.showFloatingMessage(words, Krita.instance().icon("warning"), 8000, 1)


def main_window() -> QWidget | None:
    window = Krita.instance().activeWindow()
    return window.qwindow() if window is not None else None
