"""The menu entries and the running jobs. Each job takes its next step from a timer, so Krita never waits."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from krita import Document, Extension, Krita, Node, Window

from glihamba_client import __version__, settings
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import guarded, harmonize_layer
from glihamba_client.host import Choice
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_proto import places
from glihamba_proto.errors import Failure

from .dialog import ProgressDialog, SettingsDialog, say
from .host import KritaHost
from .qt import QMessageBox, QTimer, QWidget
from .texts import refusal, text
from .turns import Turns

HARMONIZE, SETTINGS = "glihamba_harmonize", "glihamba_settings"
NAME = f"krita/{__version__}"
WAITING, WORKING = 30, 1  # milliseconds until a job's next step


def slot(method: Callable[..., None]) -> Callable[..., None]:
    """A slot that tells the person instead of raising: Krita would open a box of its own and stop."""

    @functools.wraps(method)
    def guard(self: HarmonizeExtension, *arguments: Any) -> None:
        try:
            method(self, *arguments)
        except Failure as error:
            self.say(error.sentence(self.language), True)
        except Exception as error:
            failure = ClientError("HOST_FAILED", reason=f"{type(error).__name__}: {error}")
            self.say(failure.sentence(self.language), True)

    return guard


class HarmonizeExtension(Extension):
    """One for each Krita, with any number of windows."""

    def __init__(self, parent: Krita) -> None:
        super().__init__(parent)
        self.jobs: list[LayerJob] = []
        self.turns = Turns()
        self.language = ""
        self.dialog: SettingsDialog | None = None
        self.box: QMessageBox | None = None

    def setup(self) -> None:
        pass

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
        """Begin to harmonize the active layer."""
        chosen = settings.read(places.settings_file())
        self.language = chosen.language
        document = Krita.instance().activeDocument()
        if document is None:
            raise refusal("no document")
        node = document.activeNode()
        if node is None:
            raise refusal("no layer")
        if any(job.host.layer.node_id == node.uniqueId() for job in self.jobs):
            raise refusal("busy", layer=node.name())
        job = LayerJob(self, document, node, chosen)
        self.jobs.append(job)
        job.step()

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

    def say(self, words: str, failed: bool) -> None:
        """Show a failure in a box, and a warning as a note that floats over the picture."""
        window = Krita.instance().activeWindow()
        view = window.activeView() if window else None
        if failed or view is None:
            self.box = say(main_window(), words)
        else:
            view.showFloatingMessage(words, Krita.instance().icon("warning"), 8000, 1)


class LayerJob:
    """One layer on its way to the daemon and back."""

    def __init__(
        self, extension: HarmonizeExtension, document: Document, node: Node, chosen: Settings
    ) -> None:
        self.extension = extension
        self.dialog = ProgressDialog(main_window(), node.name(), chosen.language, extension.say)
        self.host = KritaHost(document, node, self.dialog, extension.turns, chosen.language)
        choice = Choice(chosen.model, chosen.strength)
        steps = harmonize_layer(self.host, DaemonService(chosen, name=NAME), choice)
        self.steps = guarded(self.host, steps, chosen.language)
        self.dialog.show()

    def step(self) -> None:
        """Take one step. The next one is asked for at its end: Krita's own calls may run the event loop."""
        try:
            wait = next(self.steps)
        except Exception:  # the job has ended, and `guarded` has told why if it failed
            self.end()
        else:
            QTimer.singleShot(WORKING if wait is None else WAITING, self.step)

    def end(self) -> None:
        self.extension.jobs.remove(self)
        with contextlib.suppress(RuntimeError):  # it was deleted with the window it belonged to
            self.dialog.close()
            self.dialog.deleteLater()
        self.host.release()


def main_window() -> QWidget | None:
    window = Krita.instance().activeWindow()
    return window.qwindow() if window is not None else None
