"""The dialog: a preview, the amounts of the correction, the model and the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gimp, GimpUi, GLib, GObject, Gtk  # noqa: E402

from glihamba_client import lut, texts  # noqa: E402
from glihamba_client.client import Task  # noqa: E402
from glihamba_client.preview import PARTS, Preview  # noqa: E402
from glihamba_client.service import DaemonService  # noqa: E402
from glihamba_proto.checks import STRONGEST  # noqa: E402
from glihamba_proto.errors import Failure  # noqa: E402

from . import capture, fit  # noqa: E402
from .canvas import CanvasPreview  # noqa: E402
from .host import GimpHost, fitted  # noqa: E402
from .panel import Panel  # noqa: E402
from .settings_dialog import change_settings  # noqa: E402
from .texts import text  # noqa: E402

LOOK = 100  # milliseconds between two looks whether the daemon has answered


class Picked(NamedTuple):
    """What the person has chosen beside the procedure's arguments."""

    service: DaemonService
    strength: float
    """Of the correction, with that of the variant in it."""
    corrections: Sequence[tuple[Any, float]]
    """The transforms to add and the strength of each, the first one shown; none: as the arguments say.

    The transform is None for the first variant, which the daemon finds again.
    """
    small: capture.Small | None
    """The picture that `fit` was found from; None when there is no fit."""
    fit: fit.Fit | None


def ask(
    procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, host: GimpHost, service: DaemonService
) -> Picked | None:
    """Let the person choose and keep the choice in `config`; returns None when they cancel."""
    GimpUi.init("glihamba")
    dialog = Dialog(procedure, config, host, service)
    try:
        return dialog.picked() if dialog.run() else None
    finally:
        dialog.close()


class Dialog:
    """GIMP's own dialog for procedures, with a preview, the daemon's models and its device.

    The preview shows the lowest of the chosen layers.
    """

    def __init__(
        self,
        procedure: Gimp.Procedure,
        config: Gimp.ProcedureConfig,
        host: GimpHost,
        service: DaemonService,
    ) -> None:
        self.config, self.language, self.service = config, host.language, service
        self.host = host
        self.several = len(host.chosen) > 1
        self.small = capture.small(host.chosen[0])
        self.canvas = CanvasPreview(host.chosen[0].layer, self.small.around)
        self.variants: list[Any] = []
        self.previews: list[Preview] = []
        self.fits: dict[object, fit.Fit] = {}
        self.answered = self.waiting = False
        self.window = GimpUi.ProcedureDialog.new(procedure, config, text("title", self.language))
        self.window.set_ok_label(text("ok", self.language))
        self.window.connect("key-press-event", self.key)
        self.model, self.device = Gtk.ComboBoxText(), label(text("asking", self.language))
        self.note, self.place, self.licence = label(""), label(""), label("")
        self.choices: list[texts.Offered] = []
        self.panel = Panel(self.small, self.language, self.later)
        self.model.connect("changed", self.choose)
        config.connect("notify::model", lambda *_: self.show())
        config.connect("notify::scene", lambda *_: self.predict())
        for name in ("strength", *PARTS, "editable"):
            config.connect(f"notify::{name}", lambda *_: self.later())
        self.lay_out()
        self.task: Task[Any] | None = None
        self.prediction: Task[Any] | None = None
        self.timer = GLib.timeout_add(LOOK, self.look)
        self.ask()

    def lay_out(self) -> None:
        grid = Gtk.Grid(row_spacing=6, column_spacing=12, margin=0)
        self.model.set_hexpand(True)
        for row, (name, widget) in enumerate(
            (("model", self.model), ("device", self.device), ("daemon", self.place))
        ):
            grid.attach(label(text(name, self.language)), 0, row, 1, 1)
            grid.attach(widget, 1, row, 1, 1)
        right = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        right.pack_start(grid, False, False, 0)
        for name in ("strength", *PARTS):
            scale = self.window.get_spin_scale(name, 1.0)
            scale.set_digits(2)
            right.pack_start(scale, False, False, 0)
        scene = self.window.get_widget("scene", GObject.TYPE_NONE)
        self.edge = self.window.get_spin_scale("edge", 1.0)
        checks = [self.window.get_widget(name, Gtk.CheckButton) for name in ("editable", "all")]
        for widget in (scene, self.edge, *checks, self.licence, self.note):
            right.pack_start(widget, False, False, 0)
        self.table = Gtk.Button.new_with_mnemonic(text("save table", self.language))
        self.table.connect("clicked", lambda *_: self.save_table())
        self.table.set_sensitive(False)
        right.pack_start(self.table, False, False, 0)
        buttons = Gtk.Box(spacing=6)
        for name, act in (("help", self.help), ("settings", self.settings)):
            button = Gtk.Button.new_with_mnemonic(text(name, self.language))
            button.connect("clicked", lambda _, act=act: act())
            buttons.pack_start(button, False, False, 0)
        right.pack_end(buttons, False, False, 0)
        both = Gtk.Box(spacing=18, margin=12)
        both.pack_start(self.panel.widget, False, False, 0)
        both.pack_start(right, True, True, 0)
        box = self.window.get_content_area()
        box.pack_start(both, True, True, 0)
        box.reorder_child(both, 0)
        both.show_all()

    def run(self) -> bool:
        return bool(self.window.run())

    def close(self) -> None:
        if self.timer:
            GLib.source_remove(self.timer)
        for task in (self.task, self.prediction):
            if task is not None:
                task.cancel()
        self.canvas.close()
        self.window.destroy()
        while Gtk.events_pending():
            Gtk.main_iteration()  # until the window has gone

    # --- the daemon -------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask the daemon for its device, its models and the corrections."""
        for task in (self.task, self.prediction):
            if task is not None:
                task.cancel()
        self.answered = False
        self.device.set_text(text("asking", self.language))
        self.place.set_text(self.service.settings.remote or text("remote hint", self.language))
        self.offer([], "")
        self.task = self.service.ask()
        self.predict()

    def predict(self) -> None:
        if self.prediction is not None:
            self.prediction.cancel()
        self.variants, self.previews, self.fits = [], [], {}
        self.table.set_sensitive(False)
        self.panel.forget_variants()
        self.note.set_text(text("predicting", self.language))
        self.prediction = None
        self.canvas.close()
        try:
            self.host.set_up(self.config.get_property("scene"), 0)
            self.small = capture.small(self.host.chosen[0])
        except Failure as error:
            self.note.set_text(error.sentence(self.language))
            return
        model = self.config.get_property("model")
        self.prediction = self.service.predict(self.small.composite, self.small.mask, model)

    def look(self) -> bool:
        """Look whether the daemon has answered; called again and again."""
        if self.task is not None and self.task.wait(0):
            task, self.task = self.task, None
            try:
                info, models = task.result()
            except Exception as error:
                self.device.set_text(self.sentence(error))
            else:
                self.device.set_text(texts.device(info, self.language))
                self.offer(models, info.default_model)
        if self.prediction is not None and self.prediction.wait(0):
            prediction, self.prediction = self.prediction, None
            try:
                self.variants = list(prediction.result().variants)
            except Exception as error:
                self.note.set_text(self.sentence(error))
        if len(self.previews) < len(self.variants):  # one at a time, so that the dialog stays responsive
            self.prepare(self.variants[len(self.previews)])
        return True

    def prepare(self, variant: Any) -> None:
        preview = Preview(self.small.shown, self.small.shown_mask, variant)
        self.previews.append(preview)
        self.panel.add_variant(variant, preview.pixels(), self.several)
        if len(self.previews) == 1:
            self.note.set_text("")
            self.table.set_sensitive(True)
            self.later()

    def sentence(self, error: Exception) -> str:
        if isinstance(error, Failure):
            return error.sentence(self.language)
        return f"{type(error).__name__}: {error}"

    # --- the preview ------------------------------------------------------------------------------

    def later(self) -> None:
        """Draw when nothing else is to be done: of many moves of a slider the last one counts."""
        if not self.waiting:
            self.waiting = True
            GLib.idle_add(self.draw)

    def draw(self) -> bool:
        """Draw the preview with what is set; False: not again by itself."""
        self.waiting = False
        if not self.previews:
            return False
        strength, preview = self.strength(self.panel.chosen), self.previews[self.panel.chosen]
        own = self.variants[self.panel.chosen].strength
        self.panel.draw(preview.pixels(strength / own, self.amounts()))
        is_editable = self.config.get_property("editable")
        self.edge.set_sensitive(not is_editable)
        self.note.set_text("")
        if is_editable or self.panel.on_canvas.get_active():
            found = self.fit()
            if is_editable and found.levels > fit.GOOD:
                self.note.set_text(text("filter is off", self.language, levels=f"{found.levels:.1f}"))
        if self.panel.on_canvas.get_active():
            self.canvas.show(self.fit(), min(1.0, strength), self.panel.at_divider())
        else:
            self.canvas.close()
        return False

    def strength(self, number: int) -> float:
        """Of a correction, with that of the variant in it."""
        own = self.variants[number].strength if self.variants else 1.0
        return min(STRONGEST, own * float(self.config.get_property("strength")))

    def amounts(self) -> dict[str, float]:
        return {name: float(self.config.get_property(name)) for name in PARTS}

    def fit(self) -> fit.Fit:
        """The filter for what is set; its strength up to 1 is its opacity."""
        chosen, amounts = self.panel.chosen, self.amounts()
        strength = max(1.0, self.strength(chosen))
        key = (chosen, *amounts.values(), strength)
        if key not in self.fits:
            own = self.variants[chosen].strength
            self.fits = {key: fitted(self.small, self.previews[chosen], strength / own, amounts)}
        return self.fits[key]

    def picked(self) -> Picked:
        """What the person has chosen."""
        if not self.previews or self.several:
            return Picked(self.service, self.config.get_property("strength"), (), None, None)
        chosen, found = self.panel.chosen, None
        numbers = [chosen]
        if self.config.get_property("editable"):
            found = self.fit()
        elif self.config.get_property("all"):
            numbers += [number for number in range(len(self.variants)) if number != chosen]
        corrections = [
            (self.variants[number].transform if number else None, self.strength(number)) for number in numbers
        ]
        return Picked(self.service, self.strength(chosen), corrections, self.small, found)

    # --- models, settings, help -------------------------------------------------------------------

    def offer(self, models: list[Any], default: str) -> None:
        chosen = self.config.get_property("model")
        wanted = self.service.settings.model or default  # what an empty choice means
        with self.model.freeze_notify():
            self.model.remove_all()
            self.choices = texts.choices(models, wanted, chosen, self.language)
            for each in self.choices:
                self.model.append(each.name, each.title)
            self.model.set_active_id(chosen)
        self.show_licence()

    def choose(self, *_: Any) -> None:
        name = self.model.get_active_id()
        if name is not None and name != self.config.get_property("model"):
            self.config.set_property("model", name)
        self.show_licence()

    def show_licence(self) -> None:
        self.licence.set_text(texts.licence_of(self.choices, self.model.get_active_id()))

    def show(self) -> None:
        """Show the configuration's model: the person may have loaded another configuration, or reset it."""
        self.model.set_active_id(self.config.get_property("model"))
        self.predict()

    def settings(self) -> None:
        changed = change_settings(self.window, self.service.settings)
        self.window.present()  # or GIMP's own window may get the keys
        if changed is not None:
            self.service = self.service.with_settings(changed)
            self.ask()

    def save_table(self) -> None:
        """Save the correction that is shown as a look-up table, in a file that the person names."""
        name = self.host.chosen[0].name
        chooser = Gtk.FileChooserNative.new(
            text("save table", self.language).replace("_", ""),
            self.window,
            Gtk.FileChooserAction.SAVE,
            None,
            None,
        )
        chooser.set_do_overwrite_confirmation(True)
        chooser.set_current_name(f"{name}.{lut.SUFFIX}")
        is_chosen, path = chooser.run() == Gtk.ResponseType.ACCEPT, chooser.get_filename()
        chooser.destroy()
        self.window.present()
        if not is_chosen or not path or not self.previews:
            return
        variant, preview = self.variants[self.panel.chosen], self.previews[self.panel.chosen]
        strength = self.strength(self.panel.chosen) / variant.strength
        amounts = self.amounts()
        try:
            lut.save(path, variant, strength, amounts, name)
        except Failure as error:
            self.note.set_text(error.sentence(self.language))
            return
        left = preview.local_levels(strength, amounts)
        self.note.set_text(text("table saved", self.language, path=path, levels=f"{left:.1f}"))

    def key(self, _: Gtk.Widget, event: Any) -> bool:
        """F1 explains this dialog; GIMP would open its own manual."""
        if event.keyval != Gdk.KEY_F1:
            return False
        self.help()
        return True

    def help(self) -> None:
        box = Gtk.MessageDialog(
            transient_for=self.window,
            modal=True,
            buttons=Gtk.ButtonsType.CLOSE,
            text=text("title", self.language),
        )
        box.set_title(text("help title", self.language))
        box.format_secondary_text(text("help text", self.language))
        box.run()
        box.destroy()
        self.window.present()


def label(words: str) -> Gtk.Label:
    return Gtk.Label(label=words, xalign=0, wrap=True, max_width_chars=40)
