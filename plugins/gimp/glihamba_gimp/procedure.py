"""The menu entry and the procedure `plug-in-harmonize-selection`.

Whatever is wrong with this installation, the menu entry is there and says what. Hence only GIMP's own modules
are imported here before the procedure runs.
"""

import os
import sys

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib, GObject  # noqa: E402

NAME = "plug-in-harmonize-selection"
MENU = "<Image>/Filters/Enhance"
OLDEST_PYTHON = (3, 10)
ENGLISH = {
    "menu": "Har_monize…",
    "tip": "Recolour the layer to fit what lies below it.",
    "strength": "Stren_gth",
    "editable": "As a filter that stays e_ditable",
    "all": "_Keep all of them",
    "light": "Light",
    "warmth": "Warmth and tint",
    "contrast": "Contrast",
    "saturation": "Saturation",
    "local": "Local light",
    "edge": "Edge clean-up",
    "scene": "Scene",
    "label all": "All that is seen below",
    "label blue": "Blue",
    "label green": "Green",
    "label yellow": "Yellow",
    "label orange": "Orange",
    "label brown": "Brown",
    "label red": "Red",
    "label violet": "Violet",
    "label gray": "Gray",
}
LABELS = [name[6:] for name in ENGLISH if name.startswith("label ")]  # of layers, as GIMP has them
PARTS = ("light", "warmth", "contrast", "saturation", "local")

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendor"))


def main(arguments: "list[str]") -> None:
    Gimp.main(Harmonize.__gtype__, arguments)


def words(name: str) -> str:
    """One of the plugin's texts; in English where the rest of the plugin cannot be imported."""
    try:
        from .texts import text

        return text(name)
    except Exception:
        return ENGLISH.get(name, "")


class Harmonize(Gimp.PlugIn):
    def do_set_i18n(self, name: str) -> bool:
        return False

    def do_query_procedures(self) -> "list[str]":
        return [NAME]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("*")  # for an indexed image the entry is not gray: it says what to do
        mask = Gimp.ProcedureSensitivityMask
        procedure.set_sensitivity_mask(mask.DRAWABLE | mask.DRAWABLES | mask.NO_DRAWABLES)
        procedure.set_menu_label(words("menu"))
        procedure.add_menu_path(MENU)
        procedure.set_documentation(
            words("tip"),
            "The layers, their selected part and what is seen below them go to the daemon on this computer. "
            "Each layer gets a group with its result, clipped to it; the result's opacity is the strength. "
            "model: a name that `glihamba models list` shows, empty: the one that is set, else the default. "
            "strength: 0 (unchanged), 1 (the full correction) to 1.5. light, warmth, contrast, saturation, "
            "local: the amount of each part of the correction, -1 to 2; 1 is as predicted. editable: add a "
            "filter to the layer instead, whose opacity is the strength; returns the layer. scene: all, or a "
            "colour label: only layers that have it count as the scene. all: add every proposal, the first "
            "one shown, the others hidden; not for filters. edge: how many pixels of the "
            "cut-out's rim are taken away and recoloured, 0 to 2; not for filters.",
            None,  # GIMP's Help would open GIMP's own manual
        )
        procedure.set_attribution("GLIHamba", "MIT", "2026")
        both = GObject.ParamFlags.READWRITE
        procedure.add_string_argument("model", "_Model", "Name of the model", "", both)
        procedure.add_double_argument("strength", words("strength"), words("tip"), 0.0, 1.5, 1.0, both)
        for part in PARTS:
            procedure.add_double_argument(part, words(part), words("part tip"), -1.0, 2.0, 1.0, both)
        procedure.add_boolean_argument("editable", words("editable"), words("editable tip"), False, both)
        procedure.add_boolean_argument("all", words("all"), words("keep all tip"), False, both)
        labels = Gimp.Choice.new()
        for number, label in enumerate(LABELS):
            labels.add(label, number, words("label " + label), "")
        procedure.add_choice_argument("scene", words("scene"), words("scene tip"), labels, "all", both)
        procedure.add_int_argument("edge", words("edge"), words("edge tip"), 0, 2, 0, both)
        procedure.add_layer_return_value("layer", "Layer", "The new group (the highest)", True, both)
        return procedure


def run(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: "list[Gimp.Drawable]",
    config: Gimp.ProcedureConfig,
    data: object,
) -> Gimp.ValueArray:
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, number[:2])) for number in (OLDEST_PYTHON, sys.version_info))
        return failed(
            procedure,
            f"GLIHamba needs a GIMP with Python {wanted} or newer, and this one has {found}. Update GIMP.",
        )
    try:
        from . import action
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return failed(
            procedure,
            f"The GLIHamba plugin is damaged or clashes with another plugin ({why}). "
            "Install it again with install.py.",
        )
    layer, failure = action.harmonize(procedure, mode, image, drawables, config)
    if failure:
        return failed(procedure, failure)
    if layer is None:
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    values.remove(1)
    values.append(GObject.Value(Gimp.Layer, layer))
    return values


def failed(procedure: Gimp.Procedure, sentence: str) -> Gimp.ValueArray:
    """Have GIMP show the sentence in a box, or return it to the script that called."""
    error = GLib.Error.new_literal(GLib.quark_from_string("glihamba"), sentence, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
