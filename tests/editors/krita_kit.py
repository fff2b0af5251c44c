"""What every case in Krita needs: documents made of bytes, the action as a person uses it, undo."""

import array
import sys

from krita import InfoObject, Krita, Selection

try:
    from PyQt5.QtWidgets import QApplication, QMessageBox, QProgressDialog, QPushButton
except ImportError:
    from PyQt6.QtWidgets import QApplication, QMessageBox, QProgressDialog, QPushButton

import pictures
from pictures import (  # noqa: F401
    OBJECT,
    SIZE,
    at,
    cut,
    object_bytes,
    same,
    scene_bytes,
    settings,
    unchanged_outside,
    write,
    write_png,
)

SRGB = "sRGB-elle-V2-srgbtrc.icc"
LINEAR = "sRGB-elle-V2-g10.icc"
krita = Krita.instance()


def plugin():
    """The extension as Krita runs it."""
    module = sys.modules["glihamba_krita.extension"]
    return next(e for e in krita.extensions() if isinstance(e, module.HarmonizeExtension))


def new(size=SIZE, model="RGBA", depth="U8", profile=SRGB):
    """An empty document in a view of the active window."""
    document = krita.createDocument(*size, "test", model, depth, profile, 72.0)
    document.setBatchmode(True)
    krita.activeWindow().addView(document)
    return document


def paint(document, name, raw, rect, space=("RGBA", "U8", SRGB), parent=None):
    """Add a paint layer on top, with pixels given in `space` and converted to the document's."""
    layer = document.createNode(name, "paintlayer")
    own = (document.colorModel(), document.colorDepth(), document.colorProfile())
    if tuple(space) != own:
        layer.setColorSpace(*space)
    layer.setPixelData(raw, *rect)
    if tuple(space) != own:
        if space[1] != own[1]:
            layer.setColorSpace(space[0], "F32", space[2])
        layer.setColorSpace(*own)
    (parent or document.rootNode()).addChildNode(layer, None)
    return layer


def ready(document, layer):
    """Choose the layer and let Krita draw."""
    document.waitForDone()
    yield 0.2  # Krita activates the layer that was added last, a moment later
    document.setActiveNode(layer)
    yield lambda: document.activeNode() is not None and document.activeNode().uniqueId() == layer.uniqueId()
    draw(document)


def settled(document):
    """Wait until the picture stays the same. Krita 5.2 draws a vector layer again later, with finer edges."""
    looks = [b""]

    def is_still():
        looks.append(seen(document))
        return looks[-1] == looks[-2]

    yield 0.5
    while not is_still():
        yield 0.5


def scene(soft=4, rect=OBJECT, size=SIZE, **space):
    """A document with a scene, and the object on an active layer of its own; (document, layer)."""
    document = new(size, **space)
    paint(document, "scene", scene_bytes(*size), (0, 0, *size))
    layer = paint(document, "pasted", object_bytes(rect[2], rect[3], soft), rect)
    yield from ready(document, layer)
    return document, layer


def large(width, height, rect=None, **space):
    """A scene with grain, and an object on `rect`, else in the middle on a quarter of it."""
    document = new((width, height), **space)
    paint(document, "scene", pictures.large_scene_bytes(width, height), (0, 0, width, height))
    rect = rect or (width // 4, height // 4, width // 2, height // 2)
    layer = paint(document, "pasted", pictures.large_object_bytes(*rect[2:]), rect)
    yield from ready(document, layer)
    return document, layer


def is_still(document):
    """Whether Krita draws nothing in the document; asks without waiting for it."""
    still = document.tryBarrierLock()
    if still:
        document.unlock()
    return still


def drawn(document):
    """Wait until the document is drawn, and then Krita's docks, which follow 0.1 s later."""
    yield lambda: is_still(document)
    yield 0.12
    yield lambda: is_still(document)
    document.waitForDone()


def draw(document):
    document.refreshProjection()
    document.waitForDone()


def trigger(name="glihamba_harmonize"):
    krita.action(name).trigger()


def idle():
    return not plugin().jobs


def harmonize(document):
    """Use the action, and wait until its result is added and drawn."""
    for box in boxes():
        box.close()
    yield 0.05
    assert not boxes()
    trigger()
    yield idle
    yield from drawn(document)


def boxes():
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]


def said():
    """What the boxes on the screen say."""
    return [box.text() for box in boxes()]


def dialogs():
    """The progress dialogs on the screen."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog) and w.isVisible()]


def press_cancel(dialog):
    """The dialog's one button."""
    dialog.findChild(QPushButton).click()


def close_all():
    """Cancel running jobs and close all message boxes."""
    for dialog in dialogs():
        press_cancel(dialog)
    for box in boxes():
        box.close()


def seen(document):
    """The picture on screen, whole, in the document's own bytes."""
    return bytes(document.pixelData(0, 0, document.width(), document.height()))


def tree(node):
    """Names, kinds and states of all layers below a node."""
    found = []
    for child in node.childNodes():
        if child.type() != "selectionmask":
            state = (
                child.name(),
                child.type(),
                child.visible(),
                child.opacity(),
                child.blendingMode(),
                child.locked(),
            )
            found.append((*state, child.uniqueId().toString(), tree(child)))
    return found


def layer(document, name):
    """The first layer of that name."""
    todo = list(document.rootNode().childNodes())
    while todo:
        node = todo.pop(0)
        if node.name() == name:
            return node
        todo += node.childNodes()
    return None


def undo(document, action="edit_undo"):
    krita.action(action).trigger()
    yield from drawn(document)


def undo_text():
    return krita.action("edit_undo").text()


def selection(left, top, width, height, value=255):
    chosen = Selection()
    chosen.select(left, top, width, height, value)
    return chosen


def selected(document):
    """The selection's coverage of the canvas, or nothing."""
    chosen = document.selection()
    if chosen is None or not chosen.width():
        return b""
    return bytes(chosen.pixelData(0, 0, document.width(), document.height()))


def same_picture(found, wanted, depth):
    """Equal bit by bit; floats may differ in the last digit, since Krita composes a group."""
    if depth != "F32":
        assert found == wanted
        return
    pairs = zip(array.array("f", found), array.array("f", wanted), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 1e-6


def without_results(node):
    """The tree without results: a group around a result is replaced by the layer in it."""
    found = []
    nodes = [child for child in node.childNodes() if child.type() != "selectionmask"]
    for child, state in zip(nodes, tree(node), strict=True):
        inner = child.childNodes()
        if child.type() == "grouplayer" and any(n.name().endswith(" (harmonized)") for n in inner):
            found += without_results(child)
        elif not child.name().endswith(" (harmonized)"):
            found.append((*state[:-1], without_results(child)))
    return found


def export(document, path):
    document.setBatchmode(True)
    assert document.exportImage(path, InfoObject()), path
