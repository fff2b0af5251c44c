"""The settings that both editors share, changed from GIMP: another machine's daemon, and the language."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gi.repository import Gtk

from glihamba_client import remote
from glihamba_client.settings import Settings, save
from glihamba_proto import messages, places
from glihamba_proto.errors import Failure

from .texts import text

FILES = ("token_file", "ca_file")


def change_settings(parent: Gtk.Widget, settings: Settings) -> Settings | None:
    """Let the person change the settings and save them; returns None when they cancel."""
    dialog = SettingsDialog(parent, settings)
    try:
        return dialog.run()
    finally:
        dialog.window.destroy()


class SettingsDialog:
    """It stays open until the settings are good, and says what is not."""

    def __init__(self, parent: Gtk.Widget, settings: Settings) -> None:
        self.settings, language = settings, settings.language
        self.window = Gtk.Dialog(title=text("settings title", language), transient_for=parent, modal=True)
        self.window.add_button(text("cancel", language), Gtk.ResponseType.CANCEL)
        self.window.add_button(text("keep", language), Gtk.ResponseType.OK)
        self.window.set_default_response(Gtk.ResponseType.OK)
        self.remote = Gtk.Entry(text=settings.remote, width_chars=32, activates_default=True)
        self.remote.set_placeholder_text(text("remote hint", language))
        self.remote.set_tooltip_text(text("remote tip", language))
        self.files = {name: Gtk.Entry(text=getattr(settings, name), activates_default=True) for name in FILES}
        self.language = Gtk.ComboBoxText()
        self.language.append("", text("system", language))
        for code in messages.languages():
            self.language.append(code, messages.catalogue(code)["LANGUAGE"])
        self.language.set_active_id(language)
        self.note = Gtk.Label(label="", xalign=0, wrap=True, max_width_chars=48)
        self.lay_out(language)

    def lay_out(self, language: str) -> None:
        grid = Gtk.Grid(row_spacing=6, column_spacing=12, margin=12)
        rows: tuple[tuple[str, Any], ...] = (
            ("remote", self.remote),
            ("token file", self.with_button(self.files["token_file"])),
            ("ca file", self.with_button(self.files["ca_file"])),
            ("language", self.language),
        )
        for row, (name, widget) in enumerate(rows):
            grid.attach(Gtk.Label(label=text(name, language), xalign=0), 0, row, 1, 1)
            grid.attach(widget, 1, row, 1, 1)
        grid.attach(self.note, 0, len(rows), 2, 1)
        self.window.get_content_area().pack_start(grid, True, True, 0)
        grid.show_all()

    def with_button(self, entry: Gtk.Entry) -> Gtk.Box:
        """The entry and a button that opens a file chooser."""
        both, button = Gtk.Box(spacing=6), Gtk.Button.new_with_mnemonic("…")
        button.connect("clicked", lambda *_: self.browse(entry))
        both.pack_start(entry, True, True, 0)
        both.pack_start(button, False, False, 0)
        return both

    def browse(self, entry: Gtk.Entry) -> None:
        chooser = Gtk.FileChooserNative.new(
            self.window.get_title(), self.window, Gtk.FileChooserAction.OPEN, None, None
        )
        if chooser.run() == Gtk.ResponseType.ACCEPT:
            entry.set_text(chooser.get_filename() or "")
        chooser.destroy()

    def chosen(self) -> Settings:
        """The settings that the dialog shows."""
        return replace(
            self.settings,
            remote=self.remote.get_text().strip(),
            language=self.language.get_active_id() or "",
            token_file=self.files["token_file"].get_text().strip(),
            ca_file=self.files["ca_file"].get_text().strip(),
        )

    def run(self) -> Settings | None:
        while self.window.run() == Gtk.ResponseType.OK:
            wanted = self.chosen()
            try:
                if wanted.remote:
                    remote.endpoint(wanted)
                save(wanted, places.settings_file())
                return wanted
            except Failure as error:
                self.note.set_text(error.sentence(self.settings.language))
        return None
