"""Test-only Krita plugin: runs the cases of $GLIHAMBA_TEST_SCRIPT inside a real Krita and reports as JSON.

The script's functions `case_NAME(t)` run one after the other, those that $GLIHAMBA_TEST_CASES names (all
when it is empty). A case that is a generator hands the event loop back to Krita at every `yield`:

    yield 0.2                  sleep 0.2 s while Krita lives on
    yield condition            until condition() is true

Documents that a case leaves open are closed. Exit status 0: every case ran; what failed is in the report.
"""

import faulthandler
import inspect
import itertools
import json
import os
import sys
import time
import traceback
from typing import Any

from krita import Extension, Krita

try:
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QApplication
except ImportError:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication

SCRIPT = os.environ.get("GLIHAMBA_TEST_SCRIPT", "")
LIMIT = float(
    os.environ.get("GLIHAMBA_TEST_LIMIT", "300")
)  # seconds after which a condition counts as never true; a busy machine may take its time
CASE_LIMIT = 600.0  # seconds after which Krita is ended: a modal box stops every Python thread


class Driver:
    """What a case is given: facts for the report, a folder, the heart that shows when Krita stalls."""

    def __init__(self):
        self.folder = os.environ["GLIHAMBA_TEST_FOLDER"]
        self.report: dict[str, Any] = {
            "cases": {},
            "krita": Krita.instance().version(),
            "python": sys.version.split()[0],
        }
        self.case = ""
        self.facts: dict[str, Any] = {}
        self.beats: list[float] = []
        self.after_each = lambda: None  # a script may define its own
        self.heart = QTimer()
        self.heart.timeout.connect(lambda: self.beats.append(time.monotonic()))

    def fact(self, name, value):
        self.facts[name] = value
        print("[driver]", name, "=", repr(value)[:300], file=sys.stderr, flush=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def screenshot(self, name):
        QApplication.primaryScreen().grabWindow(0).save(self.path(name))

    def watch(self):
        """Begin to count heartbeats, one each 5 ms while the event loop runs."""
        self.beats = [time.monotonic()]
        self.heart.start(5)

    def stalls(self, begin=0.0, end=1e18):
        """The pauses between heartbeats over 20 ms, in seconds, longest first."""
        beats = [beat for beat in self.beats if begin <= beat <= end]
        pauses = [after - before for before, after in itertools.pairwise(beats)]
        return sorted((pause for pause in pauses if pause > 0.02), reverse=True)

    def run(self, cases):
        for name, function in cases:
            self.case, self.facts = name, {}
            faulthandler.dump_traceback_later(CASE_LIMIT, exit=True)
            begun = time.monotonic()
            error = yield from self.one(name, function)
            self.heart.stop()
            self.after_each()
            # Krita's layers docker draws what has changed 0.1 s later, and crashes (KisNodeModel) when its
            # document has been closed by then. Timers fire in the order of their times, however late.
            yield all_still
            yield 0.2
            for document in Krita.instance().documents():
                document.setBatchmode(True)
                document.setModified(False)
                document.close()
            yield 0.05
            seconds = round(time.monotonic() - begun, 2)
            self.report["cases"][name] = {"error": error, "facts": self.facts, "seconds": seconds}
            self.write()
            print("[driver]", name, "failed" if error else "passed", seconds, file=sys.stderr, flush=True)

    def one(self, name, function):
        try:
            steps = function(self)
            if inspect.isgenerator(steps):
                yield from steps
        except BaseException:
            self.screenshot(name + "-failed.png")
            return traceback.format_exc()
        return None

    def write(self):
        with open(self.path("report.json.part"), "w", encoding="utf-8") as file:
            json.dump(self.report, file, indent=1, default=str)
        os.replace(self.path("report.json.part"), self.path("report.json"))

    def passed(self, facts):
        """End the whole run here, with this case passed: Krita itself is about to end."""
        self.report["cases"][self.case] = {"error": None, "facts": {"left": facts}, "seconds": 0}
        self.finish(0)

    def finish(self, code):
        self.report["finished"] = True
        self.write()
        sys.stderr.flush()
        os._exit(code)  # Krita 5.1 crashes in its own teardown


def is_still(document):
    """Whether Krita draws nothing in the document; asks without waiting for it."""
    still = document.tryBarrierLock()
    if still:
        document.unlock()
    return still


def all_still():
    return all(is_still(document) for document in Krita.instance().documents())


def drive(driver, steps):
    try:
        wait = next(steps)
    except StopIteration:
        driver.finish(0)
    except BaseException:
        driver.report["error"] = traceback.format_exc()
        driver.finish(1)
    if callable(wait):
        until(driver, steps, wait, time.monotonic() + LIMIT)
    else:
        QTimer.singleShot(int(1000 * wait), lambda: drive(driver, steps))


def until(driver, steps, condition, deadline):
    try:
        done = condition()
        if not done and time.monotonic() > deadline:
            raise TimeoutError("never true: " + inspect.getsource(condition).strip())
    except BaseException as error:
        return thrown(driver, steps, error)
    if done:
        return QTimer.singleShot(0, lambda: drive(driver, steps))
    return QTimer.singleShot(10, lambda: until(driver, steps, condition, deadline))


def thrown(driver, steps, error):
    """Let the case itself fail with what its condition raised."""

    def again():
        wait = steps.throw(error)
        yield wait
        yield from steps

    drive(driver, again())


def begin():
    driver = Driver()

    def uncaught(kind, error, trace):  # Krita's own hook opens a box that stops everything
        driver.report["error"] = "".join(traceback.format_exception(kind, error, trace))
        driver.finish(1)

    sys.excepthook = uncaught
    try:
        sys.path[:0] = [os.path.dirname(SCRIPT), os.environ["GLIHAMBA_TEST_HELPERS"]]
        space: dict[str, Any] = {"__name__": "krita_cases", "__file__": SCRIPT}
        with open(SCRIPT, encoding="utf-8") as file:
            exec(compile(file.read(), SCRIPT, "exec"), space)
        driver.after_each = space.get("after_each", driver.after_each)
        chosen = os.environ.get("GLIHAMBA_TEST_CASES", "").split()
        cases = [(name[5:], value) for name, value in space.items() if name.startswith("case_")]
        cases = [case for case in cases if not chosen or case[0] in chosen]
    except BaseException:
        driver.report["error"] = traceback.format_exc()
        driver.finish(1)
    drive(driver, driver.run(cases))


def wait_for_the_window():
    windows = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
    if any(w.metaObject().className() == "KisMainWindow" for w in windows):
        QTimer.singleShot(300, begin)
    else:
        QTimer.singleShot(50, wait_for_the_window)


class DriverExtension(Extension):
    def setup(self):
        pass

    def createActions(self, window):
        pass


if SCRIPT:
    faulthandler.enable()
    faulthandler.dump_traceback_later(CASE_LIMIT, exit=True)
    Krita.instance().setBatchmode(True)
    Krita.instance().addExtension(DriverExtension(Krita.instance()))
    QTimer.singleShot(0, wait_for_the_window)
