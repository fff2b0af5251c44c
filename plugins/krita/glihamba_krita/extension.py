"""The menu entries, and the jobs that run. Each job takes its next step from a timer: Krita never waits."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from krita import Extension, Krita

from glihamba_client import __version__, settings
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import guarded, harmonize_layer
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_proto import places
from glihamba_proto.errors import Failure

from .dialog import ProgressDialog, SettingsDialog, say
from .host import KritaHost
from .qt import QTimer
from .texts import text

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
    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.jobs: list[Job] = []
        self.language = ""
        self.dialog: SettingsDialog | None = None
        self.box: Any = None

    def setup(self) -> None:
        pass

    @slot
    def createActions(self, window: Any) -> None:
        """Called once for each of Krita's windows."""
        try:
            self.language = settings.load(places.settings_file()).language
        except Failure:
            pass  # said when the action is used
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
        chosen = settings.load(places.settings_file())
        self.language = chosen.language
        document = Krita.instance().activeDocument()
        if document is None:
            raise self.refuse("no document")
        node = document.activeNode()
        if node is None:
            raise self.refuse("no layer")
        if any(job.host.node_id == node.uniqueId() for job in self.jobs):
            raise self.refuse("busy", layer=node.name())
        job = Job(self, document, node, chosen)
        self.jobs.append(job)
        job.step()

    @slot
    def change_settings(self, *_: Any) -> None:
        def keep(wanted: Settings) -> None:
            settings.save(wanted, places.settings_file())
            self.language = wanted.language

        chosen = settings.load(places.settings_file())
        if self.dialog is not None:
            with contextlib.suppress(RuntimeError):  # gone with the window it belonged to
                self.dialog.done(0)
        self.dialog = SettingsDialog(main_window(), chosen, keep)
        self.dialog.show()

    def refuse(self, name: str, **fields: object) -> ClientError:
        return ClientError(f"KRITA_{name}", text(name, self.language, **fields))

    def say(self, words: str, failed: bool) -> None:
        """A failure in a box, a warning as the note that floats over the picture."""
        window = Krita.instance().activeWindow()
        view = window.activeView() if window else None
        if failed or view is None:
            self.box = say(main_window(), words)
        else:
            view.showFloatingMessage(words, Krita.instance().icon("warning"), 8000, 1)


class Job:
    """One layer on its way to the daemon and back."""

    def __init__(self, extension: HarmonizeExtension, document: Any, node: Any, chosen: Settings) -> None:
        self.extension, self.model = extension, chosen.model
        self.dialog = ProgressDialog(main_window(), node.name(), chosen.language, extension.say)
        self.host = KritaHost(document, node, self.dialog, chosen.language)
        self.service = DaemonService(chosen, name=NAME)
        self.strength = chosen.strength
        self.steps: Iterator[Any] = guarded(self.host, self.all(), chosen.language)
        self.dialog.show()

    def all(self) -> Iterator[Any]:
        yield from self.host.read()
        yield from harmonize_layer(self.host, self.service, model=self.model, strength=self.strength)
        yield from self.host.write()

    def step(self) -> None:
        """Take one step, and the next only when it is over: Krita's own calls may run the event loop."""
        try:
            wait = next(self.steps)
        except Exception:  # its end; `guarded` has said what else there was to say
            self.end()
        else:
            QTimer.singleShot(WORKING if wait is None else WAITING, self.step)

    def end(self) -> None:
        self.extension.jobs.remove(self)
        with contextlib.suppress(RuntimeError):  # gone with the window it belonged to
            self.dialog.close()
            self.dialog.deleteLater()
        self.host.release()


def main_window() -> Any:
    window = Krita.instance().activeWindow()
    return window.qwindow() if window is not None else None
