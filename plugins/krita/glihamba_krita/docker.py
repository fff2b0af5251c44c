"""The docker "Harmonize": before and after, sliders, corrections to choose from, Apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from krita import Canvas, DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Krita

from glihamba_client import __version__, lut, settings, texts
from glihamba_client.client import Task
from glihamba_client.errors import ClientError
from glihamba_client.harmonize_layer import Service
from glihamba_client.host import Choice, Progress, Steps
from glihamba_client.service import DaemonService
from glihamba_client.settings import Settings
from glihamba_client.window import Rect
from glihamba_proto import checks, places
from glihamba_proto.errors import Failure

from . import table
from .chosen import ChosenLayer
from .controls import Pictures, Sliders, Variants, fill, result_box, scene_box
from .look import Look, Placed, amounts_of, image, look_at
from .nodes import selected_in
from .qt import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    Qt,
    QTimer,
    QVBoxLayout,
    QWidget,
)
from .results import original_of
from .slots import slot
from .texts import text

if TYPE_CHECKING:
    from .extension import HarmonizeExtension
    from .job import LayerJob

NAME = f"krita/{__version__}"
PERCENT = 100
WIDEST_EDGE = 2  # pixels
SPACE = 5  # pixels
WAITING, WORKING, WATCHING = 30, 1, 400  # milliseconds

# Krita makes a docker for each of its windows, and tells it nothing of the plugin that it belongs to.
plugin: list[HarmonizeExtension] = []


class HarmonizeDocker(DockWidget):
    """One in each window. It is the window of the job that it begins: progress, Cancel and messages."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False
        self.language = language()
        self.look: Look | None = None
        self.part: Rect | None = None
        self.layer: ChosenLayer | None = None
        self.steps: Steps[tuple[Look, Rect]] | None = None
        self.job: LayerJob | None = None
        self.models: Task[Any] | None = None
        self.setWindowTitle(text("docker", self.language))
        self.setWidget(self.laid_out())
        self.redraw = QTimer(self)
        self.redraw.setSingleShot(True)
        self.redraw.timeout.connect(self.draw)
        self.watch = QTimer(self)
        self.watch.timeout.connect(self.see)
        self.watch.start(WATCHING)
        self.show_state()

    def laid_out(self) -> QWidget:
        self.name, self.status = QLabel(), QLabel()
        self.status.setWordWrap(True)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.pictures = Pictures(self.language)
        self.variants = Variants(self.language, self.choose)
        self.sliders = Sliders(self.language, lambda: self.redraw.start(0))
        self.model, self.results = QComboBox(), result_box("pixels", self.language)
        self.keep_all = QCheckBox(text("keep all", self.language))
        self.keep_all.setToolTip(text("keep all tip", self.language))
        self.scene = scene_box(self.language)
        self.scene.activated.connect(self.preview)
        self.edge = QSpinBox()
        self.edge.setRange(0, WIDEST_EDGE)
        self.edge.setSuffix(" px")
        self.edge.setToolTip(text("edge tip", self.language))
        self.kept_model = ""
        self.model.activated.connect(self.preview)
        self.preview_button = self.button("preview", self.preview)
        self.apply_button = self.button("apply", self.apply)
        self.cancel_button = self.button("cancel", self.cancel)
        self.reset_button = self.button("reset", self.sliders.reset)
        self.table_button = self.button("save table", self.ask_for_table)
        self.progress_bar = QProgressBar()
        self.progress_bar.setRange(0, PERCENT)
        form = QFormLayout()
        form.addRow(text("model", self.language), self.model)
        form.addRow(text("scene", self.language), self.scene)
        form.addRow(text("edge", self.language), self.edge)
        form.addRow(text("result", self.language), self.results)
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        for widget in (
            self.name,
            self.pictures,
            self.variants,
            self.keep_all,
            self.sliders,
            self.reset_button,
            self.table_button,
        ):
            layout.addWidget(widget)
        layout.addLayout(form)
        layout.addStretch(1)
        return self.with_buttons(scrolled(inner))

    def with_buttons(self, upper: QWidget) -> QWidget:
        """The buttons and what is said stay in sight, however small the docker is."""
        whole, buttons = QWidget(), QHBoxLayout()
        for button in (self.preview_button, self.apply_button, self.cancel_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        layout.setSpacing(SPACE)
        layout.addWidget(upper)
        layout.addLayout(buttons)
        layout.addWidget(self.progress_bar)
        layout.addWidget(self.status)
        return whole

    def button(self, name: str, used: Callable[..., None]) -> QPushButton:
        made = QPushButton(text(name, self.language))
        made.clicked.connect(lambda *_: used())
        return made

    def canvasChanged(self, canvas: Canvas | None) -> None:
        """Krita calls this when another view is in front; `see` looks at the chosen layer anyway."""

    # --- what the person does -----------------------------------------------------------------------

    @slot
    def preview(self, *_: Any) -> None:
        """Read the chosen layer, and show what the daemon would make of it."""
        if self.is_busy():
            return
        document, node = plugin[0].chosen()
        self.layer = ChosenLayer(document, node, self.language, self.scene.currentData())
        self.look = None
        self.cancelled = False
        self.status.setText("")
        chosen = self.settings()
        self.steps = look_at(self.layer, DaemonService(chosen, name=NAME), chosen.model)
        self.show_stage(text("reading", self.language))
        self.show_state()
        QTimer.singleShot(0, self.step)

    @slot
    def step(self) -> None:
        """Take the preview's next step."""
        if self.steps is None:
            return
        try:
            if self.cancelled:
                raise ClientError("CANCELLED")
            wait = next(self.steps)
        except StopIteration as end:
            self.steps = None
            self.look, self.part = end.value
            self.show_look()
        except BaseException as error:
            self.steps.close()
            self.steps = None
            self.leave()
            if not (isinstance(error, Failure) and error.code == "CANCELLED"):
                raise
        else:
            if wait is not None:
                self.show_stage(texts.stage(Progress("PREDICTING"), self.language))
            QTimer.singleShot(WORKING if wait is None else WAITING, self.step)

    @slot
    def apply(self) -> None:
        """Harmonize the layer in full size, as the preview shows it."""
        if self.is_busy():
            return
        document, node = plugin[0].chosen()
        chosen = self.settings()
        service: Service | None = None
        daemon = DaemonService(chosen, name=NAME)
        amounts = amounts_of(self.sliders.amounts())
        choices = [Choice(chosen.model, self.sliders.strength(), None, amounts)]
        if self.look is not None and self.part is not None and self.is_of(node.uniqueId()):
            choices = [
                Choice(chosen.model, self.strength(one) * one.strength, one.transform, amounts)
                for one in self.wanted(self.look)
            ]
            service = Placed(daemon, self.part)
        self.cancelled = False
        self.status.setText("")
        scene, edge = self.scene.currentData(), self.edge.value()
        self.job = plugin[0].begin(document, [node], chosen, choices, self, service, scene, edge)
        self.show_state()

    def wanted(self, look: Look) -> list[Any]:
        """The corrections to add: the chosen one, and the others if all shall be kept."""
        chosen = look.variants[self.variants.chosen()]
        others = [one for one in look.variants if one is not chosen]
        return [chosen, *others] if self.keep_all.isChecked() else [chosen]

    def strength(self, variant: Any) -> float:
        """How much of a correction's own strength; no more than the daemon takes."""
        return min(self.sliders.strength(), checks.STRONGEST / float(variant.strength))

    def cancel(self) -> None:
        self.cancelled = True

    @slot
    def choose(self) -> None:
        """Another correction is chosen."""
        self.redraw.start(0)

    @slot
    def ask_for_table(self) -> None:
        """Save the correction that is shown as a look-up table."""
        table.ask_where(self, self.name.text(), self.language, self.save_table)

    @slot
    def save_table(self, path: str) -> None:
        """The person has named a file for the look-up table."""
        if self.look is None:
            return
        number = self.variants.chosen()
        variant = self.look.variants[number]
        amounts, strength = self.sliders.amounts(), self.strength(variant)
        lut.save(path, variant, strength, amounts, self.name.text())
        left = self.look.pictures[number].local_levels(strength, amounts)
        self.message(text("table saved", self.language, path=path, levels=f"{left:.1f}"), False)

    # --- what is shown --------------------------------------------------------------------------------

    @slot
    def draw(self) -> None:
        """Draw the picture after, for the sliders as they are. Takes about 20 ms."""
        if self.look is None:
            return
        number = self.variants.chosen()
        strength = self.strength(self.look.variants[number])
        drawn = self.look.pictures[number].pixels(strength, self.sliders.amounts())
        self.pictures.show_after(image(self.look.composite, drawn))

    def show_look(self) -> None:
        """Show what the daemon has answered."""
        look = self.look
        assert look is not None
        self.pictures.show_before(image(look.composite))
        small = [image(look.small_composite, picture.pixels()) for picture in look.small_pictures]
        self.variants.offer(small, [variant.kind for variant in look.variants])
        self.draw()
        self.leave()
        if look.warnings:
            self.message(look.warnings[0], False)

    def show_state(self) -> None:
        """Enable what can be used now."""
        busy = self.is_busy()
        self.preview_button.setEnabled(not busy)
        self.apply_button.setEnabled(not busy)
        self.cancel_button.setEnabled(busy)
        self.progress_bar.setVisible(busy)
        self.variants.setVisible(self.look is not None)
        self.keep_all.setVisible(self.look is not None)
        self.pictures.setEnabled(self.look is not None)
        self.table_button.setEnabled(self.look is not None)

    @slot
    def see(self) -> None:
        """Follow the chosen layer: a preview of another one is put away."""
        if not self.isVisible():
            return
        window = Krita.instance().activeWindow()
        view = window.activeView() if window is not None else None
        node = (
            selected_in(view) if view is not None and Krita.instance().activeDocument() is not None else None
        )
        node = original_of(node) if node is not None else None
        self.name.setText(node.name() if node is not None else "")
        if self.look is not None and not self.is_busy() and (node is None or not self.is_of(node.uniqueId())):
            self.look = None
            self.pictures.clear()
            self.show_state()
        if self.models is not None and self.models.wait(0):
            models, self.models = self.models, None
            info, known = models.result()
            self.show_models(known, info.default_model, self.model.currentData() or "")

    def ask_models(self, service: DaemonService) -> None:
        if self.models is None:
            self.models = service.ask()

    def show_models(self, models: list[Any], default: str, chosen: str) -> None:
        fill(self.model, texts.choices(models, default, chosen, self.language), chosen)

    def is_of(self, node_id: Any) -> bool:
        """Whether the preview is that layer's."""
        return self.layer is not None and self.layer.node_id == node_id

    def is_busy(self) -> bool:
        return self.steps is not None or self.job is not None

    def settings(self) -> Settings:
        """The person's settings, with what is chosen here."""
        kept = settings.read(places.settings_file())
        self.language = kept.language
        if not self.model.count() or kept.model != self.kept_model:
            self.kept_model = kept.model
            self.show_models([], "", kept.model)
            self.ask_models(DaemonService(kept, name=NAME))
        return replace(kept, model=self.model.currentData() or "", result=self.results.currentData())

    # --- the window of a job --------------------------------------------------------------------------

    def show_layer(self, name: str) -> None:
        """The docker shows the chosen layer's name anyway."""

    def show_progress(self, progress: Progress) -> None:
        self.progress_bar.setValue(int(PERCENT * progress.fraction))
        self.show_stage(texts.stage(progress, self.language))

    def show_stage(self, words: str) -> None:
        self.status.setText(f"{words}…")

    def message(self, words: str, failed: bool) -> None:
        self.status.setText(words)

    def leave(self) -> None:
        """The preview or the job has ended."""
        self.job = None
        self.progress_bar.setValue(0)
        if self.status.text().endswith("…"):
            self.status.setText("")
        self.show_state()


def scrolled(inner: QWidget) -> QScrollArea:
    """The widget, which scrolls up and down where there is not enough room for it."""
    area = QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(inner.minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width())
    return area


def language() -> str:
    """The person's language; the docker is made before anything can be said of damaged settings."""
    try:
        return settings.read(places.settings_file()).language
    except (Failure, ValueError):
        return ""


def register(extension: HarmonizeExtension) -> None:
    """Have Krita make a docker for each of its windows."""
    plugin.append(extension)
    factory = DockWidgetFactory("glihamba_docker", DockWidgetFactoryBase.DockRight, HarmonizeDocker)
    Krita.instance().addDockWidgetFactory(factory)
