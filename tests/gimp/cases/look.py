"""What the person sees and presses: menu, progress, Cancel, undo, messages. Screenshots are kept."""

import os
import time

import gimp_kit as kit
from gimp_kit import Gimp
from gimp_screen import (
    TITLE,
    added,
    after_each,  # noqa: F401
    click,
    gone,
    open_dialog,
    open_menu,
    picture,
    plug_ins,
    predicted,
    press,
    show,
    windows,
)
from held import BEGAN, GAVE_UP, HOLD, hold

CANCEL = (993, 778)  # GIMP's own button in the status bar, on this screen


def case_menu_dialog_result_undo_repeat(t):
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
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
    group = added(image, "drum (harmonized)")
    time.sleep(1)
    t.screenshot("result.png")
    after = kit.seen(image)
    assert after != seen
    assert layer.get_parent().get_id() == group.get_id()
    assert [one.get_id() for one in image.get_selected_layers()] == [group.get_id()]
    t.fact("size", (image.get_width(), image.get_height()))
    kit.write(t.path("demo.before"), seen)
    kit.write(t.path("demo.after"), after)
    kit.write(t.path("demo.mask"), kit.get(layer, form="R'G'B'A u8")[3::4])

    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "drum (harmonized)"))
    time.sleep(0.5)
    kit.same(kit.state(image), before)
    assert kit.seen(image) == seen, "one undo takes all of it back"
    press("ctrl+y")
    kit.until(lambda: kit.layer(image, "drum (harmonized)"))
    assert kit.seen(image) == after
    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "drum (harmonized)"))

    press("ctrl+f")
    added(image, "drum (harmonized)")
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
    kit.until(lambda: not plug_ins())
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
