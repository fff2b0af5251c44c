"""What the person sees and presses: menu, dialog, progress, Cancel, undo. Screenshots are kept."""

import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any

import gimp_kit as kit
from gimp_kit import Gimp
from held import BEGAN, GAVE_UP, HOLD, hold, let_go

TITLE = "Harmonize"
LAST_VALUES = os.path.join(Gimp.directory(), "plug-in-settings")  # a dialog begins with what was chosen last
CANCEL = (993, 778)  # GIMP's own button in the status bar, on this screen


def after_each(t):
    let_go()
    kit.pictures.settings(model="tiny", language="en")
    shutil.rmtree(LAST_VALUES, ignore_errors=True)
    press("Escape", "Escape")
    for display in displays:
        display.delete()
    displays.clear()
    kit.delete_all()


displays: list[Any] = []


def press(*keys):
    subprocess.run(["xdotool", "key", "--delay", "80", *keys], check=True)


def click(x, y):
    subprocess.run(
        ["xdotool", "mousemove", str(x), str(y), "click", "1", "mousemove", "0", "799"], check=True
    )


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


def gone():
    return not windows(f"^{TITLE}$")


def picture(t):
    """The composite that ships with GLIHamba: the scene, and the cup on a layer of their own."""
    size = tuple(map(int, os.environ["TEST_SIZE"].split()))
    image = kit.new(size)
    for name in ("scene", "cup"):
        with open(t.path(name + ".rgba"), "rb") as file:
            layer = kit.paint(image, name, file.read(), (0, 0, *size))
    image.set_selected_layers([layer])
    return image, layer


def case_menu_dialog_result_undo_repeat(t):
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
    press("2")
    time.sleep(1)
    before = kit.state(image)
    seen = kit.seen(image)
    open_menu()
    press("Up", "Up")
    time.sleep(0.5)
    t.screenshot("menu.png")
    press("Escape", "Escape", "Escape")
    time.sleep(0.5)
    predicted(image, layer)
    time.sleep(1)
    t.screenshot("dialog.png")
    press("Return")
    added = kit.until(lambda: kit.layer(image, "cup (harmonized)"))
    kit.until(gone)
    time.sleep(1)
    t.screenshot("result.png")
    after = kit.seen(image)
    assert after != seen
    assert layer.get_parent().get_id() == added.get_id()
    assert [one.get_id() for one in image.get_selected_layers()] == [added.get_id()]
    t.fact("size", (image.get_width(), image.get_height()))
    kit.write(t.path("demo.before"), seen)
    kit.write(t.path("demo.after"), after)
    kit.write(t.path("demo.mask"), kit.get(layer, form="R'G'B'A u8")[3::4])

    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "cup (harmonized)"))
    time.sleep(0.5)
    kit.same(kit.state(image), before)
    assert kit.seen(image) == seen, "one undo takes all of it back"
    press("ctrl+y")
    kit.until(lambda: kit.layer(image, "cup (harmonized)"))
    assert kit.seen(image) == after
    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "cup (harmonized)"))

    press("ctrl+f")
    kit.until(lambda: kit.layer(image, "cup (harmonized)"))
    time.sleep(0.5)
    assert kit.seen(image) == after, "repeated without a question"


def case_escape(t):
    cancelled("Escape")


def case_cancel(t):
    cancelled("alt+c")


def cancelled(key):
    image, _ = kit.scene()
    show(image)
    before = kit.state(image)
    open_dialog()
    press(key)
    kit.until(gone)
    time.sleep(1)
    kit.same(kit.state(image), before)


def case_progress_and_cancel(t):
    image, layer = kit.scene(size=(400, 300), rect=(100, 100, 200, 120))
    show(image)
    before = kit.state(image)
    predicted(image, layer)
    hold()
    press("alt+a")
    kit.until(lambda: os.path.exists(BEGAN))
    time.sleep(0.5)
    t.screenshot("progress.png")
    assert not os.path.exists(GAVE_UP)
    click(*CANCEL)
    kit.until(lambda: os.path.exists(GAVE_UP))
    os.remove(HOLD)
    time.sleep(1)
    kit.same(kit.state(image), before)


CHANGED = """
import subprocess, time
look = ["xdotool", "search", "--onlyvisible", "--name", "^{title}$"]
for _ in range(200):
    if subprocess.run(look, capture_output=True).stdout:
        break
    time.sleep(0.1)
time.sleep(1.5)
image = Gimp.get_images()[0]
layer = image.get_layers()[0]
{change}
subprocess.run(["xdotool", "key", "Return"], check=True)
"""


def case_deleted_under_the_dialog(t):
    changed_under_the_dialog("image.remove_layer(layer)", "“pasted” was deleted meanwhile", 1)


def case_indexed_under_the_dialog(t):
    kinds = "Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE"
    change = f"assert image.convert_indexed({kinds}, 16, False, False, '')"
    changed_under_the_dialog(change, "An indexed image holds too few colours to harmonize.", 2)


def changed_under_the_dialog(change, words, left):
    """The other plug-in changes the image once the dialog is there, and then presses its button."""
    image, layer = kit.scene()
    kit.write(BEGAN, b"")
    kit.meanwhile(CHANGED.format(title=TITLE, change=change))
    status, _, said = kit.call(image, [layer], Gimp.RunMode.INTERACTIVE)
    kit.happened()
    assert status == kit.FAILED, (status, said)
    assert words in said, said
    assert len(image.get_layers()) == left


def case_said_in_a_box(t):
    image, _ = kit.scene()
    kinds = Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE
    assert image.convert_indexed(*kinds, 16, False, False, "")
    show(image)
    open_menu()
    press("m")
    kit.until(lambda: windows("GIMP Message"))
    time.sleep(0.5)
    t.screenshot("message.png")
    press("Escape")


# Places in the dialog on this screen.
STRENGTH, DIVIDER, STATISTICS = (915, 273), (535, 373), (509, 480)


def predicted(image, layer):
    """Open the dialog, and wait until the canvas shows the preview."""
    before = kit.seen(image)
    open_dialog()
    kit.until(lambda: layer.get_filters() and kit.seen(image) != before)


def case_model_and_strength(t):
    """Model and strength chosen in the dialog give the same result as those named by a script."""
    sys.path.append(os.environ["TEST_VENDOR"])
    from glihamba_client.service import DaemonService

    image, layer = kit.scene(soft=0)
    wanted = kit.harmonize(image, layer, model="statistics", strength=0.25)
    pixels = kit.get(wanted)
    assert pixels != kit.get(layer)
    kit.ungroup(image, wanted)
    show(image)
    _, models = DaemonService().ask().result()
    row = [model.name for model in models].index("statistics") + 1  # the default comes before them

    predicted(image, layer)
    click(*STRENGTH)
    press("shift+Tab", *["Down"] * row, "Tab", "ctrl+a", "0", "period", "2", "5", "Tab")
    time.sleep(1)
    t.screenshot("choices.png")
    press("alt+a")
    added = kit.until(lambda: kit.layer(image, "pasted (harmonized)"))
    kit.until(gone)
    assert kit.get(added) == pixels


def case_preview_and_cancel(t):
    """The canvas shows the correction, whole or right of the divider; Escape restores everything."""
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
    press("2")
    image.clean_all()
    before, seen = kit.state(image), kit.seen(image)
    predicted(image, layer)
    whole = kit.seen(image)
    t.screenshot("preview.png")
    assert not image.is_dirty()
    click(*DIVIDER)
    kit.until(lambda: kit.seen(image) not in (whole, seen))
    split = kit.seen(image)
    stride = len(seen) // image.get_height()
    changed = {at % stride // 4 for at in range(0, len(seen), 4) if seen[at : at + 4] != split[at : at + 4]}
    all_of_it = {at % stride // 4 for at in range(0, len(seen), 4) if seen[at : at + 4] != whole[at : at + 4]}
    assert min(all_of_it) + 20 < min(changed) < max(all_of_it) - 20
    assert max(changed) == max(all_of_it)
    time.sleep(0.5)
    t.screenshot("divider.png")
    (dialog,) = windows(f"^{TITLE}$")
    subprocess.run(["xdotool", "windowunmap", "--sync", dialog], check=True)
    time.sleep(1)
    t.screenshot("split.png")
    subprocess.run(["xdotool", "windowmap", "--sync", dialog], check=True)
    press("alt+v")
    kit.until(lambda: kit.seen(image) == seen)
    press("alt+v")
    kit.until(lambda: kit.seen(image) == split)
    press("Escape")
    kit.until(gone)
    kit.until(lambda: kit.seen(image) == seen)
    kit.same(kit.state(image), before)
    assert not image.is_dirty()


def case_filter_in_one_undo_step(t):
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
    press("2")
    before, seen = kit.state(image), kit.seen(image)
    predicted(image, layer)
    whole = kit.seen(image)
    press("alt+d")
    time.sleep(1)
    t.screenshot("filter.png")
    press("alt+a")
    kit.until(gone)
    kit.until(lambda: len(layer.get_filters()) == 1 and kit.seen(image) == whole)
    time.sleep(1)
    t.screenshot("filtered.png")
    press("ctrl+z")
    kit.until(lambda: not layer.get_filters())
    kit.same(kit.state(image), before)
    assert kit.seen(image) == seen
    press("ctrl+y")
    kit.until(lambda: len(layer.get_filters()) == 1)
    assert kit.seen(image) == whole


def case_variant(t):
    """A click on a picture takes that correction. It is near that of its model, which sees more pixels."""
    image, layer = kit.scene(soft=0)
    pixels = []
    for model in ("statistics", "tiny"):
        made = kit.harmonize(image, layer, model=model)
        pixels.append(kit.get(made))
        kit.ungroup(image, made)
    show(image)
    predicted(image, layer)
    first = kit.seen(image)
    time.sleep(1)
    click(*STATISTICS)
    kit.until(lambda: kit.seen(image) != first)
    time.sleep(0.5)
    t.screenshot("variant.png")
    press("alt+a")
    added = kit.until(lambda: kit.layer(image, "pasted (harmonized)"))
    kit.until(gone)
    apart = [sum(abs(a - b) for a, b in zip(kit.get(added), raw, strict=True)) for raw in pixels]
    assert apart[0] < apart[1] / 6, apart


def case_several_in_one_undo_step(t):
    image, lower = kit.scene(rect=(10, 10, 32, 24))
    upper = kit.paint(image, "upper", kit.object_bytes(32, 24), (30, 20, 32, 24))
    image.set_selected_layers([lower, upper])
    show(image)
    before = kit.state(image)
    predicted(image, lower)
    press("alt+a")
    kit.until(lambda: kit.layer(image, "upper (harmonized)"))
    kit.until(gone)
    time.sleep(0.5)
    t.screenshot("several.png")
    assert kit.layer(image, "pasted (harmonized)")
    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "upper (harmonized)"))
    kit.same(kit.state(image), before)


def case_help_is_our_own(t):
    """Help, and F1, explain this dialog; GIMP's manual stays shut."""
    image, _ = kit.scene()
    show(image)
    open_dialog()
    for key in ("F1", "alt+e"):
        press(key)
        kit.until(lambda: windows("^Harmonize: help$"))
        time.sleep(0.5)
        t.screenshot("help.png")
        assert not windows("manual")
        press("Escape")
        kit.until(lambda: not windows("^Harmonize: help$"))
        assert not gone()
    press("Escape")
    kit.until(gone)


def case_settings(t):
    """A bad address is refused; a good choice is kept in the file of both editors."""
    path = os.path.join(os.environ["GLIHAMBA_DATA_DIR"], "settings.json")

    def kept():
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    image, _ = kit.scene()
    show(image)
    open_dialog()
    old = kept()
    press("alt+i")
    kit.until(lambda: windows("^Harmonize: settings$"))
    time.sleep(0.5)
    press("n", "o", "w", "h", "e", "r", "e", "Return")
    time.sleep(1)
    t.screenshot("settings.png")
    assert windows("^Harmonize: settings$")
    assert kept() == old
    press("ctrl+a", "BackSpace", *["Tab"] * 5, "Up", "alt+o")  # the list: the system's, German, English
    kit.until(lambda: not windows("^Harmonize: settings$"))
    assert kept().items() >= {**old, "language": "de", "remote": ""}.items()
    press("Escape")
    kit.until(gone)
