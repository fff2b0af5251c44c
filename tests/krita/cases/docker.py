"""Cases about the docker: preview, sliders, corrections to choose from, Apply and Cancel."""

import os
import tempfile
import time

import krita_kit as kit

try:
    from PyQt5.QtCore import Qt
    from PyQt5.QtWidgets import QDockWidget, QFileDialog
except ImportError:
    from PyQt6.QtCore import Qt
    from PyQt6.QtWidgets import QDockWidget, QFileDialog
from documents import chosen, names
from held import hold, let_go
from krita_kit import OBJECT, krita
from trouble import after_each, pasted, untouched  # noqa: F401 - the driver calls after_each

TREE = ["Background", "scene", ("pasted", ["pasted", "pasted (harmonized)"])]


def docker():
    """The active window's docker, in front, and with room."""
    window = krita.activeWindow().qwindow()
    window.setGeometry(0, 0, 1280, 800)
    for one in window.findChildren(QDockWidget):
        if one.objectName() in ("ColorSelectorNg", "PresetDocker", "sharedtooldocker"):
            one.hide()
    found = next(one for one in window.findChildren(QDockWidget) if one.objectName() == "glihamba_docker")
    found.show()
    found.raise_()
    window.resizeDocks([found], [900], Qt.Orientation.Vertical)
    return found


def previewed():
    """A scene whose object, of one colour, is previewed; (document, layer, docker)."""
    document, layer = yield from kit.scene(soft=0)
    layer.setPixelData(bytes((50, 130, 210, 255)) * (OBJECT[2] * OBJECT[3]), *OBJECT)
    kit.draw(document)
    shown = docker()
    shown.sliders.reset()
    shown.results.setCurrentIndex(0)
    yield 0.2
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    assert shown.look is not None, shown.status.text()
    return document, layer, shown


def picture(label):
    """The bytes of what a label shows."""
    image = label.pixmap().toImage()
    bits = image.constBits()
    bits.setsize(image.bytesPerLine() * image.height())
    return bytes(bits)


def middle(label):
    """The colour in the middle of what a label shows: red, green, blue."""
    image = label.pixmap().toImage()
    colour = image.pixelColor(image.width() // 2, image.height() // 2)
    return [colour.red(), colour.green(), colour.blue()]


def seen_middle(document):
    left, top, width, height = OBJECT
    blue, green, red, _ = kit.at(kit.seen(document), left + width // 2, top + height // 2)
    return [red, green, blue]


def near(one, other, by):
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= by


def case_preview(t):
    """Before and after of the object, and corrections to choose from; the document stays as it is."""
    document, _ = yield from kit.scene()
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    shown = docker()
    yield 0.3
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    assert shown.look is not None, shown.status.text()
    untouched(document, before, tree)
    assert near(middle(shown.pictures.before), seen_middle(document), 6)
    assert not near(middle(shown.pictures.after), middle(shown.pictures.before), 6)
    buttons = [button for button in shown.variants._buttons if button.isVisible()]
    t.fact("corrections", [button.text() for button in buttons])
    assert len(buttons) == len(shown.look.variants) > 1
    assert len({bytes(picture.pixels()) for picture in shown.look.small_pictures}) == len(buttons)
    yield lambda: shown.model.count() > 2
    assert "tiny" in [shown.model.itemData(row) for row in range(shown.model.count())]
    assert shown.name.text() == "pasted"
    yield 0.3
    t.screenshot("docker.png")


def case_sliders(t):
    """Every slider changes the picture at once, while the daemon answers nobody."""
    _document, _, shown = yield from previewed()
    hold()
    pictures, seconds = {picture(shown.pictures.after)}, []
    for name, slider in shown.sliders.sliders.items():
        for value in (40, 170):
            slider.setValue(value)
            begun = time.monotonic()
            shown.draw()
            seconds.append(time.monotonic() - begun)
        now = picture(shown.pictures.after)
        if name != "local":  # the tiny model's light may be the same everywhere
            assert now not in pictures, name
        pictures.add(now)
        slider.setValue(100)
    t.fact("seconds for a move", max(seconds))
    shown.sliders.sliders["amount"].setValue(0)
    yield 0.2
    assert picture(shown.pictures.after) == picture(shown.pictures.before)
    shown.reset_button.click()
    yield 0.2
    assert shown.sliders.strength() == 1
    assert not shown.sliders.amounts()
    let_go()


def case_apply(t):
    """As predicted, the result is that of the menu entry; in one step of undo."""
    document, layer, shown = yield from previewed()
    yield from kit.harmonize(document)
    wanted = kit.seen(document)
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield lambda: chosen() == ["pasted"]
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    shown.apply_button.click()
    assert shown.progress_bar.isVisible()
    yield lambda: not shown.is_busy()
    yield from kit.drawn(document)
    kit.same(names(document.rootNode()), TREE)
    assert not kit.dialogs()
    off = max(abs(a - b) for a, b in zip(kit.seen(document), wanted, strict=True))
    assert off <= 1, off
    t.screenshot("docker-applied.png")
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before


def case_apply_what_the_sliders_say(t):
    document, _, shown = yield from previewed()
    for name, value in (("amount", 80), ("light", -60), ("saturation", 180)):
        shown.sliders.sliders[name].setValue(value)
    shown.draw()
    wanted, was = middle(shown.pictures.after), middle(shown.pictures.before)
    assert not near(wanted, was, 4), (wanted, was)
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    yield from kit.drawn(document)
    assert near(seen_middle(document), wanted, 3), (seen_middle(document), wanted)


def case_apply_another_correction(t):
    document, _, shown = yield from previewed()
    first = middle(shown.pictures.after)
    kinds = [variant.kind for variant in shown.look.variants]
    shown.variants._buttons[kinds.index("statistics")].click()
    yield 0.2
    wanted = middle(shown.pictures.after)
    assert not near(first, wanted, 3), (first, wanted)
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    yield from kit.drawn(document)
    assert near(seen_middle(document), wanted, 3), (seen_middle(document), wanted)


def case_editable_result(t):
    document, _, shown = yield from previewed()
    shown.results.setCurrentIndex(1)
    wanted = middle(shown.pictures.after)
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    yield from kit.drawn(document)
    assert kit.layer(document, "pasted (harmonized)").type() == "filterlayer"
    assert near(seen_middle(document), wanted, 3), (seen_middle(document), wanted)


def case_another_layer(t):
    """The preview of a layer is put away when another one is chosen, and Apply means that one."""
    document, _, shown = yield from previewed()
    other = yield from pasted(document, "other", (4, 4, 20, 16))
    yield lambda: chosen() == ["other"]
    yield lambda: shown.name.text() == "other"
    assert shown.look is None
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    yield from kit.drawn(document)
    assert kit.layer(document, "pasted (harmonized)") is None
    assert kit.layer(document, "other (harmonized)").parentNode().name() == "other"
    assert other.name() == "other"


def case_cancel(t):
    """Both a preview and a job, although the daemon is held."""
    document, _ = yield from kit.scene()
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    shown = docker()
    yield 0.2
    assert not shown.cancel_button.isEnabled()
    for button in (shown.preview_button, shown.apply_button):
        hold()
        button.click()
        yield lambda: shown.status.text().startswith(("Finding", "Preparing"))
        t.screenshot("docker-busy.png")
        shown.cancel_button.click()
        yield lambda: not shown.is_busy() and kit.idle()
        let_go()
        assert not shown.status.text(), shown.status.text()
    assert not kit.said(), kit.said()
    untouched(document, before, tree)


def case_failures_are_told_in_the_docker(t):
    document, layer = yield from kit.scene()
    shown = docker()
    layer.move(500, 0)
    kit.draw(document)
    for button in (shown.preview_button, shown.apply_button):
        button.click()
        yield lambda: not shown.is_busy()
        assert shown.status.text().startswith("“pasted” is empty inside the canvas."), shown.status.text()
        shown.status.setText("")
    assert not kit.said(), kit.said()


def case_large_and_linear(t):
    """A large picture of another space is scaled down for the preview, and applied at full size."""
    document, layer = yield from kit.large(1500, 900, depth="U16", profile=kit.LINEAR)
    shown = docker()
    shown.sliders.reset()
    shown.results.setCurrentIndex(0)
    yield 0.2
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    assert shown.look is not None, shown.status.text()
    assert max(shown.look.composite.width, shown.look.composite.height) <= 200
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    assert kit.layer(document, "pasted (harmonized)") is not None, shown.status.text()
    assert layer.parentNode().name() == "pasted"


def case_look_up_table(t):
    """The shown correction is saved where the dialog says, and the docker says what it leaves out."""
    _, _, shown = yield from previewed()
    path = os.path.join(tempfile.mkdtemp(), "shot.cube")
    shown.table_button.click()
    yield lambda: shown.findChildren(QFileDialog)
    dialog = shown.findChildren(QFileDialog)[-1]
    assert dialog.acceptMode() == QFileDialog.AcceptMode.AcceptSave
    yield dialog.isVisible
    t.screenshot("table.png")
    dialog.fileSelected.emit(path)  # accept() would start a loop of its own
    dialog.reject()
    yield lambda: os.path.exists(path)
    with open(path) as file:
        lines = file.read().splitlines()
    assert lines[:2] == ['TITLE "pasted"', "LUT_3D_SIZE 33"], lines[:2]
    assert len(lines) == 4 + 33**3, len(lines)
    assert shown.status.text().startswith(f"Saved: {path}."), shown.status.text()
    dialog.deleteLater()
    shown.save_table(os.path.join(path, "in the way.cube"))
    assert "can’t be written (" in shown.status.text(), shown.status.text()
    assert not kit.said(), kit.said()


def applied(document, shown, label):
    """The result of Apply with the layers of that colour label as the scene."""
    shown.scene.setCurrentIndex(shown.scene.findData(label))
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    if shown.look is None:
        return None
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    return bytes(kit.layer(document, "pasted (harmonized)").pixelData(*OBJECT))


def case_scene_of_a_colour_label(t):
    """What lacks the label is left out of the picture that is harmonized with; the document keeps it."""
    green, red = 2, 6  # Krita's numbers
    document, _, shown = yield from previewed()
    wanted = yield from applied(document, shown, "all")
    document, layer, shown = yield from previewed()
    width, height = document.width(), document.height()
    wall = document.createNode("wall", "paintlayer")
    wall.setPixelData(bytes((40, 230, 250, 255)) * (width * height), 0, 0, width, height)
    document.rootNode().addChildNode(wall, kit.layer(document, "scene"))
    yield from kit.ready(document, layer)
    kit.layer(document, "scene").setColorLabel(green)
    wall.setColorLabel(red)
    yield from kit.drawn(document)
    before = kit.seen(document)
    assert (yield from applied(document, shown, "violet")) is None
    assert shown.status.text() == (
        "No layer that is seen below “pasted” has the colour label Violet. Give it to the scene's layers, or "
        "choose another scene."
    ), shown.status.text()
    assert kit.seen(document) == before
    assert (yield from applied(document, shown, "green")) == wanted
    yield 0.5
    t.screenshot("labels.png")
    assert wall.visible()
    yield from kit.undo(document)
    yield from kit.ready(document, layer)
    assert (yield from applied(document, shown, "red")) != wanted
    shown.scene.setCurrentIndex(0)


def case_keep_all(t):
    """All corrections lie in one group, the chosen one shown, the others hidden; one undo takes all back."""
    document, _, shown = yield from previewed()
    count = len(shown.look.variants)
    shown.variants._buttons[1].click()
    shown.keep_all.setChecked(True)
    yield 0.3
    t.screenshot("keep-all.png")
    wanted = middle(shown.pictures.after)
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    shown.keep_all.setChecked(False)
    yield from kit.drawn(document)
    group = kit.layer(document, "pasted (harmonized)").parentNode()
    found = [(node.name(), node.visible()) for node in group.childNodes()]
    assert found == [
        ("pasted", True),
        *[(f"pasted (harmonized {number})", False) for number in range(count, 1, -1)],
        ("pasted (harmonized)", True),
    ], found
    assert near(seen_middle(document), wanted, 3), (seen_middle(document), wanted)
    looks = {bytes(node.pixelData(*OBJECT)) for node in group.childNodes()}
    assert len(looks) == count + 1, "each is another correction"
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before


def case_keep_all_of_a_layer_that_has_a_result(t):
    """They join the group that is there already."""
    document, layer, shown = yield from previewed()
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    yield from kit.ready(document, layer)
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    shown.keep_all.setChecked(True)
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    shown.keep_all.setChecked(False)
    yield from kit.drawn(document)
    group = layer.parentNode()
    found = [(node.name(), node.visible()) for node in group.childNodes()]
    assert found == [
        ("pasted", True),
        ("pasted (harmonized)", True),
        ("pasted (harmonized 4)", False),
        ("pasted (harmonized 3)", False),
        ("pasted (harmonized 2)", True),
    ], found
