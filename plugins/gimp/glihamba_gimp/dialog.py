"""The dialog: asks for the model and the strength, and shows the device."""

from __future__ import annotations

from typing import Any

import gi

gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, GLib, Gtk  # noqa: E402

from glihamba_client import texts  # noqa: E402
from glihamba_client.service import DaemonService  # noqa: E402
from glihamba_proto.errors import Failure  # noqa: E402

from .texts import text  # noqa: E402

LOOK = 100  # milliseconds between two looks whether the daemon has answered


def ask(
    procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, service: DaemonService, language: str
) -> bool:
    """Let the person choose and keep the choice in `config`; returns False when they cancel."""
    GimpUi.init("glihamba")
    dialog = Dialog(procedure, config, service, language)
    try:
        return dialog.run()
    finally:
        dialog.close()


class Dialog:
    """GIMP's own dialog for procedures, with the daemon's models and its device."""

    def __init__(
        self, procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, service: DaemonService, language: str
    ) -> None:
        self.config, self.language = config, language
        self.set_model = (
            service.settings.model
        )  # an empty choice means this model, or else the daemon's default
        self.task = service.ask()
        self.window = GimpUi.ProcedureDialog.new(procedure, config, text("title", language))
        self.window.set_ok_label(text("ok", language))
        self.model, self.device = Gtk.ComboBoxText(), label(text("asking", language))
        self.offer([], "")
        self.model.connect("changed", self.choose)
        self.config.connect("notify::model", lambda *_: self.show())
        self.lay_out(service.settings.remote)
        self.timer = GLib.timeout_add(LOOK, self.look)

    def lay_out(self, address: str) -> None:
        grid = Gtk.Grid(row_spacing=6, column_spacing=12, margin=12)
        self.model.set_hexpand(True)
        place = label(address or text("remote hint", self.language))
        rows = {0: ("model", self.model), 2: ("device", self.device), 3: ("daemon", place)}
        for row, (name, widget) in rows.items():
            grid.attach(label(text(name, self.language)), 0, row, 1, 1)
            grid.attach(widget, 1, row, 1, 1)
        grid.attach(self.window.get_spin_scale("strength", 1.0), 0, 1, 2, 1)
        box = self.window.get_content_area()
        box.pack_start(grid, False, False, 0)
        box.reorder_child(grid, 0)
        grid.show_all()

    def run(self) -> bool:
        return bool(self.window.run())

    def close(self) -> None:
        if self.timer:
            GLib.source_remove(self.timer)
        self.task.cancel()
        self.window.destroy()
        while Gtk.events_pending():
            Gtk.main_iteration()  # until the window has gone

    def look(self) -> bool:
        """Whether to look again."""
        if not self.task.wait(0):
            return True
        self.timer = 0
        try:
            info, models = self.task.result()
        except Failure as error:
            self.device.set_text(error.sentence(self.language))
        except Exception as error:
            self.device.set_text(f"{type(error).__name__}: {error}")
        else:
            self.device.set_text(texts.device(info, self.language))
            self.offer(models, info.default_model)
        return False

    def offer(self, models: list[Any], default: str) -> None:
        chosen = self.config.get_property("model")
        with self.model.freeze_notify():
            self.model.remove_all()
            for name, title, _ in texts.choices(models, self.set_model or default, chosen, self.language):
                self.model.append(name, title)
            self.model.set_active_id(chosen)

    def choose(self, *_: Any) -> None:
        name = self.model.get_active_id()
        if name is not None and name != self.config.get_property("model"):
            self.config.set_property("model", name)

    def show(self) -> None:
        """Show the configuration's model: the person may have loaded another configuration, or reset it."""
        self.model.set_active_id(self.config.get_property("model"))


def label(words: str) -> Gtk.Label:
    return Gtk.Label(label=words, xalign=0, wrap=True, max_width_chars=48)
