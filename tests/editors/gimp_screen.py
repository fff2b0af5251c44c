"""A real GIMP on a screen, for cases: what a person sees, presses and clicks."""

import os
import shutil
import subprocess
import time
from typing import Any

import gimp_kit as kit
from gimp_kit import Gimp
from held import let_go

TITLE = "Harmonize"
LAST_VALUES = os.path.join(Gimp.directory(), "plug-in-settings")  # a dialog begins with what was chosen last


def after_each(t):
    let_go()
    kit.pictures.settings(model="tiny", language="en")
    shutil.rmtree(LAST_VALUES, ignore_errors=True)
    # GIMP 3.0 may crash when an image goes that a plug-in still changes.
    leave()
    kit.until(lambda: not plug_ins() or press("Escape"))
    for display in displays:
        display.delete()
    displays.clear()
    kit.delete_all()


displays: list[Any] = []


def plug_ins():
    """The processes of our plug-in that this GIMP has started."""
    file = os.path.join(Gimp.directory(), "plug-ins", "glihamba", "glihamba.py").encode()
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as words:
                if file in words.read().split(b"\0"):
                    found.append(number)
        except OSError:
            pass  # it has just ended
    return found


def press(*keys):
    subprocess.run(["xdotool", "key", "--delay", "80", *keys], check=True)
    time.sleep(0.1)


def click(x, y, title=""):
    """Click at a place of the screen, or of the window of that title."""
    within = ["--window", *windows(f"^{title}$")] if title else []
    place = ["mousemove", *within, str(x), str(y)]
    subprocess.run(["xdotool", *place, "click", "1", "mousemove", "0", "799"], check=True)


def windows(title):
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", title], capture_output=True, text=True
    )
    return found.stdout.split()


def show(image):
    displays.append(Gimp.Display.new(image))
    kit.until(lambda: windows("layers?\\) .* – GIMP"))
    subprocess.run(["xdotool", "mousemove", "0", "799"], check=True)
    time.sleep(1)


def open_menu():
    press("alt+r")
    time.sleep(0.5)
    press("h")
    time.sleep(0.5)


def open_dialog():
    open_menu()
    press("m")
    kit.until(lambda: windows(f"^{TITLE}$"))
    time.sleep(1.5)


def leave():
    """Close the dialog with Escape. When one over it closes, the window manager may give GIMP the keys."""

    def escaped():
        for window in windows(f"^{TITLE}$"):
            subprocess.run(["xdotool", "windowfocus", window], check=False)  # it may have gone by now
        return gone() or press("Escape")

    kit.until(escaped)


def gone():
    return not windows(f"^{TITLE}$")


def picture(t):
    """The composite that ships with GLIHamba: the scene, and the drum on a layer of their own."""
    size = tuple(map(int, os.environ["TEST_SIZE"].split()))
    image = kit.new(size)
    for name in ("scene", "drum"):
        with open(t.path(name + ".rgba"), "rb") as file:
            layer = kit.paint(image, name, file.read(), (0, 0, *size))
    image.set_selected_layers([layer])
    return image, layer


def added(image, name, results=1):
    """The group of that name, once the plug-in has put all results into it. It gets its name first."""

    def whole():
        group = kit.layer(image, name)
        inside = group.get_children() if group else []
        clipped = [one for one in inside if one.get_composite_space() != Gimp.LayerColorSpace.AUTO]
        return group if len(clipped) == results and gone() else None

    return kit.until(whole)


def predicted(image, layer):
    """Open the dialog, and wait until the canvas shows the preview."""
    before = kit.seen(image)
    open_dialog()
    kit.until(lambda: layer.get_filters() and kit.seen(image) != before)
