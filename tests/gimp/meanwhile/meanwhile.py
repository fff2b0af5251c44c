#!/usr/bin/env python3
"""Test-only plug-in: a second hand in the same GIMP. It runs the code that a case leaves in a file.

The case itself waits for its call of the procedure; this extension lives beside it, and acts as soon as
the daemon holds the job (the file `began`), or at once when the code asks for nothing.
"""

import os
import sys
import traceback

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp, GLib  # noqa: E402

FOLDER = os.environ.get("GLIHAMBA_TEST_FOLDER", "")
CODE, DONE = (os.path.join(FOLDER, name) for name in ("meanwhile.py", "meanwhile.done"))


def look(began):
    if os.path.exists(CODE) and os.path.exists(began):
        with open(CODE, encoding="utf-8") as file:
            code = file.read()
        os.remove(CODE)
        error = ""
        try:
            exec(compile(code, CODE, "exec"), {"Gimp": Gimp, "Gegl": Gegl})
        except BaseException:
            error = traceback.format_exc()
        with open(DONE + ".part", "w") as file:
            file.write(error)
        os.replace(DONE + ".part", DONE)
    return True


def run(procedure, config, data):
    Gegl.init(None)
    procedure.get_plug_in().persistent_enable()
    procedure.persistent_ready()
    began = os.path.join(os.path.realpath(os.environ.get("GLIHAMBA_DATA_DIR", "")), "began")
    GLib.timeout_add(20, lambda: look(began))
    GLib.MainLoop().run()
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


class Meanwhile(Gimp.PlugIn):
    def do_set_i18n(self, name):
        return False

    def do_query_procedures(self):
        return ["extension-glihamba-test-meanwhile"]

    def do_create_procedure(self, name):
        procedure = Gimp.Procedure.new(self, name, Gimp.PDBProcType.PERSISTENT, run, None)
        procedure.set_documentation("A second hand", "A second hand", name)
        return procedure


Gimp.main(Meanwhile.__gtype__, sys.argv)
