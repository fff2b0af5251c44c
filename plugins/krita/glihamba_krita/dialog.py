"""The progress, a message, the settings. No dialog is modal: the person may go on working."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from glihamba_client import remote, texts
from glihamba_client.client import Task
from glihamba_client.host import Progress
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_proto.errors import Failure

from .controls import fill, result_box
from .qt import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QEvent,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QKeyEvent,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPoint,
    QProgressDialog,
    QPushButton,
    Qt,
    QTimer,
    QToolButton,
    QWidget,
)
from .texts import LANGUAGES, text

TITLE = "GLIHamba"
PERCENT = 100
MARGIN = 8  # pixels


class ProgressDialog(QProgressDialog):
    """Stage, place in the queue, Cancel. `cancelled` says whether the person has pressed Cancel.

    The person goes on painting meanwhile, so it takes no key until they click into it: then Esc cancels, too.
    """

    def __init__(
        self, parent: QWidget | None, layer: str, language: str, say: Callable[[str, bool], None]
    ) -> None:
        super().__init__("", "", 0, PERCENT, parent)
        self.cancelled, self._layer, self._language, self._say = False, layer, language, say
        self.setWindowTitle(TITLE)
        self.setWindowFlags(
            Qt.WindowType.Tool | Qt.WindowType.CustomizeWindowHint | Qt.WindowType.WindowTitleHint
        )
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setWindowModality(Qt.WindowModality.NonModal)
        self.setAutoClose(False)
        self.setAutoReset(False)
        self.setMinimumDuration(0)
        self.setMinimumWidth(380)
        button = QPushButton(text("cancel", language))
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setAutoDefault(False)
        self.setCancelButton(button)
        self.canceled.connect(self._cancel)
        self.setValue(0)
        self.adjustSize()
        if parent is not None:
            self.move(parent.mapToGlobal(corner(parent, self)))

    def show_layer(self, name: str) -> None:
        """Begin with another layer."""
        self._layer = name
        self.setValue(0)

    def show_progress(self, progress: Progress) -> None:
        self.setValue(int(PERCENT * progress.fraction))
        self.show_stage(texts.stage(progress, self._language))

    def show_stage(self, words: str) -> None:
        words = f"{self._layer}\n{words}…"
        if words != self.labelText():
            self.setLabelText(words)

    def message(self, words: str, failed: bool) -> None:
        self._say(words, failed)

    def leave(self) -> None:
        self.close()
        self.deleteLater()

    def event(self, event: QEvent) -> bool:
        """Esc cancels. Otherwise Krita's own Esc, which this window shares, would make it mean nothing."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if event.type() == QEvent.Type.KeyPress:
                self._cancel()
            event.accept()
            return True
        return super().event(event)

    def _cancel(self) -> None:
        self.cancelled = True


def corner(window: QWidget, box: QWidget) -> QPoint:
    """Where a box lies in a window's lower left corner, over the status bar and away from the picture."""
    area = window.rect()
    return QPoint(area.left() + MARGIN, area.bottom() - MARGIN - box.height())


def say(parent: QWidget | None, words: str) -> QMessageBox:
    """Show a message without waiting for its end. Keep the box, or Python deletes it."""
    box = QMessageBox(QMessageBox.Icon.Warning, TITLE, words, QMessageBox.StandardButton.Ok, parent)
    box.setWindowModality(Qt.WindowModality.NonModal)
    box.setAttribute(Qt.WidgetAttribute.WA_QuitOnClose, False)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.show()
    return box


class SettingsDialog(QDialog):
    """Model, device, daemon's address, language. `keep` gets the settings that the person has accepted."""

    def __init__(self, parent: QWidget | None, chosen: Settings, keep: Callable[[Settings], None]) -> None:
        super().__init__(parent)
        self._chosen, self._keep, self._language = chosen, keep, chosen.language
        self._box: QMessageBox | None = None
        self._task: Task[Any] | None = None
        self.setWindowTitle(text("settings", self._language))
        self.model, self.device, self.language = QComboBox(), QLabel(), QComboBox()
        self.licence = QLabel()
        self._choices: list[texts.Offered] = []
        self.results = result_box(chosen.result, self._language)
        self.remote = QLineEdit(chosen.remote)
        self.remote.setPlaceholderText(text("remote hint", self._language))
        self.remote.setToolTip(text("remote tip", self._language))
        self.token_file, self.ca_file = QLineEdit(chosen.token_file), QLineEdit(chosen.ca_file)
        for words in (self.device, self.licence):
            words.setWordWrap(True)
        self.model.activated.connect(self._show_licence)
        self.language.addItem(text("system", self._language), "")
        for code, name in LANGUAGES.items():
            self.language.addItem(name, code)
        self.language.setCurrentIndex(max(0, self.language.findData(chosen.language)))
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self.remote.editingFinished.connect(self.ask)
        self._show_models([], "")
        self.ask()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        rows = (
            ("model", self.model),
            ("", self.licence),
            ("device", self.device),
            ("result", self.results),
            ("remote", self.remote),
            ("token file", self._with_button(self.token_file)),
            ("ca file", self._with_button(self.ca_file)),
            ("language", self.language),
        )
        for name, widget in rows:
            form.addRow(text(name, self._language) if name else "", widget)
        form.addRow(QLabel(text("strength", self._language)))
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)
        self.setMinimumWidth(480)

    def _with_button(self, line: QLineEdit) -> QWidget:
        both, button = QWidget(), QToolButton()
        button.setText("…")
        button.clicked.connect(lambda *_: self._browse(line))
        layout = QHBoxLayout(both)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(line)
        layout.addWidget(button)
        return both

    def _browse(self, line: QLineEdit) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.windowTitle(), line.text())
        if path:
            line.setText(path)

    def settings(self) -> Settings:
        """The settings that the dialog shows."""
        return replace(
            self._chosen,
            model=self.model.currentData() or "",
            remote=self.remote.text().strip(),
            token_file=self.token_file.text().strip(),
            ca_file=self.ca_file.text().strip(),
            language=self.language.currentData() or "",
            result=self.results.currentData(),
        )

    def ask(self) -> None:
        """Ask the daemon for its device and models; starts the daemon if none runs."""
        if self._task is not None:
            self._task.cancel()
        self.device.setText(text("asking", self._language))
        self._task = DaemonService(self.settings()).ask()
        self._timer.start(100)

    def _look(self) -> None:
        if self._task is None or not self._task.wait(0):
            return
        self._timer.stop()
        try:
            info, models = self._task.result()
        except Failure as error:
            self.device.setText(error.sentence(self._language))
            return
        except Exception as error:  # a slot must not raise in Krita
            self.device.setText(f"{type(error).__name__}: {error}")
            return
        self.device.setText(texts.device(info, self._language))
        self._show_models(models, info.default_model)

    def _show_models(self, models: list[Any], default: str) -> None:
        chosen = self.model.currentData() if self.model.count() else self._chosen.model
        self._choices = texts.choices(models, default, chosen, self._language)
        fill(self.model, self._choices, chosen)
        self._show_licence()

    def _show_licence(self, *_: int) -> None:
        self.licence.setText(texts.licence_of(self._choices, self.model.currentData()))

    def accept(self) -> None:
        wanted = self.settings()
        try:
            if wanted.remote:
                remote.endpoint(wanted)
            self._keep(wanted)
        except Failure as error:
            self._box = say(self, error.sentence(self._language))
            return
        super().accept()

    def done(self, result: int) -> None:
        self._timer.stop()
        if self._task is not None:
            self._task.cancel()
        super().done(result)
