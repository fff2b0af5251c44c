"""The dialog: its preview, its choices, settings and help. Screenshots are kept."""

import json
import os
import subprocess
import sys
import tempfile
import time

import gimp_kit as kit
from gimp_screen import (
    TITLE,
    added,
    after_each,  # noqa: F401
    click,
    gone,
    leave,
    open_dialog,
    picture,
    predicted,
    press,
    show,
    windows,
)

# Places in the dialog.
STRENGTH, DIVIDER, STATISTICS = (628, 122), (248, 258), (236, 330)


def case_model_and_strength(t):
    """Model and strength chosen in the dialog give the same result as those named by a script."""
    sys.path.append(os.environ["TEST_VENDOR"])
    from glihamba_client.service import DaemonService

    image, layer = kit.scene(soft=0)
    _, models = DaemonService().ask().result()
    wanted = kit.harmonize(image, layer, model=models[-1].name, strength=0.25)
    pixels = kit.get(wanted)
    assert pixels != kit.get(layer)
    kit.ungroup(image, wanted)
    show(image)

    predicted(image, layer)
    click(*STRENGTH, TITLE)
    press("shift+Tab", "End")
    time.sleep(1)
    kit.until(layer.get_filters)  # the preview of that model
    shown = kit.seen(image)
    click(*STRENGTH, TITLE)
    press("ctrl+a", "0", "period", "2", "5", "Tab")
    kit.until(lambda: kit.seen(image) != shown)
    time.sleep(1)
    t.screenshot("choices.png")
    press("alt+a")
    assert kit.get(added(image, "pasted (harmonized)")) == pixels


def case_preview_and_cancel(t):
    """The canvas shows the correction, whole or right of the divider; Escape restores everything."""
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
    image.clean_all()
    before, seen = kit.state(image), kit.seen(image)
    predicted(image, layer)
    whole = kit.seen(image)
    t.screenshot("preview.png")
    assert not image.is_dirty()
    click(*DIVIDER, TITLE)
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
    leave()
    kit.until(lambda: kit.seen(image) == seen)
    kit.same(kit.state(image), before)
    assert not image.is_dirty()


def case_filter_in_one_undo_step(t):
    image, layer = picture(t)
    kit.pictures.settings(model="")
    show(image)
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
    click(*STATISTICS, TITLE)
    kit.until(lambda: kit.seen(image) != first)
    time.sleep(0.5)
    t.screenshot("variant.png")
    press("alt+a")
    made = kit.get(added(image, "pasted (harmonized)"))
    apart = [sum(abs(a - b) for a, b in zip(made, raw, strict=True)) for raw in pixels]
    assert apart[0] < apart[1] / 6, apart


def case_keep_all_in_one_undo_step(t):
    """The picture that was clicked is shown, the others are hidden in the same group."""
    image, layer = kit.scene(soft=0)
    show(image)
    before = kit.state(image)
    predicted(image, layer)
    first = kit.seen(image)
    time.sleep(1)
    click(*STATISTICS, TITLE)
    kit.until(lambda: kit.seen(image) != first)
    press("alt+k")
    time.sleep(0.5)
    t.screenshot("keep-all.png")
    press("alt+a")
    *results, _ = added(image, "pasted (harmonized)", 3).get_children()
    assert [one.get_visible() for one in results] == [True, False, False]
    assert len({kit.get(one) for one in results}) == 3
    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "pasted (harmonized)"))
    kit.same(kit.state(image), before)


def case_several_in_one_undo_step(t):
    image, lower = kit.scene(rect=(10, 10, 32, 24))
    upper = kit.paint(image, "upper", kit.object_bytes(32, 24), (30, 20, 32, 24))
    image.set_selected_layers([lower, upper])
    show(image)
    before = kit.state(image)
    predicted(image, lower)
    press("alt+a")
    added(image, "upper (harmonized)")
    time.sleep(0.5)
    t.screenshot("several.png")
    assert kit.layer(image, "pasted (harmonized)")
    press("ctrl+z")
    kit.until(lambda: not kit.layer(image, "upper (harmonized)"))
    kit.same(kit.state(image), before)


def case_look_up_table(t):
    """The correction that is shown is saved where the person says. The image stays as it was."""
    image, layer = kit.scene()
    show(image)
    before = kit.state(image)
    predicted(image, layer)
    time.sleep(1)
    press("alt+u")
    kit.until(lambda: windows("look-up table"))
    time.sleep(0.5)
    path = os.path.join(tempfile.mkdtemp(), "shot.cube")
    press("ctrl+a")
    subprocess.run(["xdotool", "type", "--delay", "30", path], check=True)
    t.screenshot("table.png")
    press("Return")
    kit.until(lambda: os.path.exists(path))
    time.sleep(1)
    t.screenshot("table-saved.png")
    with open(path) as file:
        lines = file.read().splitlines()
    assert lines[:2] == ['TITLE "pasted"', "LUT_3D_SIZE 33"], lines[:2]
    assert len(lines) == 4 + 33**3, len(lines)
    leave()
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
    leave()


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
    leave()
