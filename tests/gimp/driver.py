"""Runs the cases of $GLIHAMBA_TEST_SCRIPT inside a real GIMP, as a batch, and reports as JSON.

The script's functions `case_NAME(t)` run one after the other, those that $GLIHAMBA_TEST_CASES names (all
when it is empty). Images that a case leaves are deleted. What failed is in the report.
"""

import json
import os
import subprocess
import sys
import time
import traceback

from gi.repository import Gegl, Gimp

SCRIPT = os.environ["GLIHAMBA_TEST_SCRIPT"]


class Driver:
    """What a case is given: facts for the report, a folder, screenshots."""

    def __init__(self):
        self.folder = os.environ["GLIHAMBA_TEST_FOLDER"]
        self.report = {"cases": {}, "gimp": Gimp.version(), "python": sys.version.split()[0]}
        self.case, self.facts = "", {}

    def fact(self, name, value):
        self.facts[name] = value

    def path(self, name):
        return os.path.join(self.folder, name)

    def screenshot(self, name):
        if "DISPLAY" in os.environ:
            subprocess.run(["import", "-window", "root", self.path(name)], check=True)

    def run(self, cases, after_each):
        for name, function in cases:
            self.case, self.facts = name, {}
            begun, error = time.monotonic(), None
            try:
                function(self)
            except BaseException:
                error = traceback.format_exc()
                self.screenshot(name + "-failed.png")
            try:
                after_each(self)
            except BaseException:
                error = (error or "") + traceback.format_exc()
            seconds = round(time.monotonic() - begun, 2)
            self.report["cases"][name] = {"error": error, "facts": self.facts, "seconds": seconds}
            self.write()
            print("[driver]", name, "failed" if error else "passed", seconds, file=sys.stderr, flush=True)

    def write(self):
        with open(self.path("report.json.part"), "w", encoding="utf-8") as file:
            json.dump(self.report, file, indent=1, default=str)
        os.replace(self.path("report.json.part"), self.path("report.json"))


def main():
    driver = Driver()
    try:
        Gegl.init(None)
        sys.path[:0] = [os.path.dirname(SCRIPT), os.environ["GLIHAMBA_TEST_HELPERS"]]
        space = {"__name__": "gimp_cases", "__file__": SCRIPT}
        with open(SCRIPT, encoding="utf-8") as file:
            exec(compile(file.read(), SCRIPT, "exec"), space)
        chosen = os.environ.get("GLIHAMBA_TEST_CASES", "").split()
        cases = [(name[5:], value) for name, value in space.items() if name.startswith("case_")]
        driver.run([case for case in cases if not chosen or case[0] in chosen], space["after_each"])
        driver.report["finished"] = True
    except BaseException:
        driver.report["error"] = traceback.format_exc()
    driver.write()


main()
