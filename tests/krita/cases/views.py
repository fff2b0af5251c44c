"""Cases about what the person looks at: views, windows, progress, a layer alone, the undo entry, the end."""

import krita_kit as kit
from documents import chosen, names
from krita_kit import OBJECT, krita

try:
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest
    from PyQt5.QtWidgets import QApplication
except ImportError:
    from PyQt6.QtCore import Qt
    from PyQt6.QtTest import QTest
    from PyQt6.QtWidgets import QApplication
from held import hold
from meanwhile import canvas
from trouble import after_each, pasted, shown  # noqa: F401 - the driver calls after_each


def case_moved_and_painted_as_one(t):
    """Afterwards the group is active: Krita's tools move both, and paint on neither."""
    document, layer = yield from kit.scene()
    yield from kit.harmonize(document)
    group, result = document.activeNode(), kit.layer(document, "pasted (harmonized)")
    assert (group.type(), group.name()) == ("grouplayer", "pasted")
    kit.same([node.name() for node in group.childNodes()], ["pasted", "pasted (harmonized)"])
    before = [bytes(node.pixelData(*OBJECT)) for node in (layer, result)]
    krita.activeWindow().activate()
    canvas().setFocus()
    krita.action("KritaShape/KisToolBrush").trigger()
    yield 0.3
    where = canvas().rect().center()
    QTest.mouseClick(canvas(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    yield from kit.drawn(document)
    kit.same([bytes(node.pixelData(*OBJECT)) for node in (layer, result)], before)
    krita.action("KritaTransform/KisToolMove").trigger()
    yield 0.3
    krita.action("movetool-move-right").trigger()
    yield 0.3
    krita.action("KritaShape/KisToolBrush").trigger()  # which ends the move
    yield lambda: kit.is_still(document) and layer.bounds().x() > OBJECT[0]
    moved = layer.bounds().x() - OBJECT[0]
    right = (OBJECT[0] + moved, *OBJECT[1:])
    kit.same([bytes(node.pixelData(*right)) for node in (layer, result)], before)


def case_two_views(t):
    """The layer is taken that is chosen in the view where the person is."""
    document, _ = yield from kit.scene()
    other = yield from pasted(document, "other", (4, 4, 20, 16))
    document.setActiveNode(kit.layer(document, "pasted"))
    yield lambda: chosen() == ["pasted"]
    krita.activeWindow().addView(document)
    yield 0.5
    document.setActiveNode(other)
    yield lambda: chosen() == ["other"]
    assert document.activeNode().name() == "pasted", "which is the first view's"
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)") is None
    assert kit.layer(document, "other (harmonized)").parentNode().name() == "other"


def case_two_windows(t):
    document, _ = yield from kit.scene()
    other = yield from pasted(document, "other", (4, 4, 20, 16))
    document.setActiveNode(kit.layer(document, "pasted"))
    yield lambda: chosen() == ["pasted"]
    window = krita.openWindow()
    window.qwindow().show()
    yield 1.0
    window.addView(document)
    window.activate()
    yield lambda: krita.activeWindow().qwindow() == window.qwindow()
    document.setActiveNode(other)
    yield lambda: chosen() == ["other"]
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    tree = ["Background", "scene", "pasted", ("other", ["other", "other (harmonized)"])]
    kit.same(names(document.rootNode()), tree)
    window.qwindow().close()
    yield 0.3


def case_progress_takes_no_focus(t):
    """Space and tool keys stay the canvas's. A click cancels, and Esc once the person has clicked into it."""
    _document, _ = yield from kit.scene()
    krita.activeWindow().activate()
    canvas().setFocus()
    yield lambda: QApplication.focusWidget() is not None
    before, main = QApplication.focusWidget(), QApplication.activeWindow()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    yield 0.5
    (dialog,) = kit.dialogs()
    assert QApplication.activeWindow() == main
    assert QApplication.focusWidget() == before
    t.screenshot("progress.png")
    inner = main.centralWidget().geometry()
    assert not dialog.geometry().contains(main.mapToGlobal(inner.center()))
    for key in (Qt.Key.Key_Space, Qt.Key.Key_B, Qt.Key.Key_Return):
        QTest.keyClick(QApplication.focusWidget(), key)
        QTest.keyClick(dialog, key)
    yield 0.3
    assert len(kit.plugin().jobs) == 1
    dialog.activateWindow()
    yield lambda: QApplication.activeWindow() == dialog
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    yield kit.idle  # although the daemon is still held
    assert not kit.said(), kit.said()


def case_isolated_layer(t):
    """The scene is read although the person looks at the layer alone."""
    document, layer = yield from kit.scene()
    yield from kit.harmonize(document)
    wanted = bytes(kit.layer(document, "pasted (harmonized)").pixelData(*OBJECT))
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield lambda: chosen() == ["pasted"]
    krita.action("isolate_active_layer").trigger()
    yield lambda: kit.at(kit.seen(document), 2, 2)[3] == 0
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert bytes(kit.layer(document, "pasted (harmonized)").pixelData(*OBJECT)) == wanted
    if krita.action("isolate_active_layer").isChecked():
        krita.action("isolate_active_layer").trigger()
        yield 0.3


def case_name_of_the_undo_step(t):
    document, layer = yield from kit.scene()
    yield from kit.harmonize(document)
    assert kit.undo_text() == "Undo Harmonize Layer", kit.undo_text()
    yield 2.0  # Krita names its step up to a second later
    assert kit.undo_text() == "Undo Harmonize Layer", kit.undo_text()
    yield from kit.undo(document)
    assert "Harmonize" not in kit.undo_text(), kit.undo_text()
    assert layer.parentNode().parentNode() is None


def case_z_quitting(t):
    """Last of all: Krita ends in the middle of a job, and nothing of the plugin's is left on the screen."""
    document, _ = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    application = QApplication.instance()
    application.aboutToQuit.connect(lambda: t.passed(kit.said()))
    document.setModified(False)
    krita.action("file_quit").trigger()
    yield kit.idle
    yield 2.0
    raise AssertionError(
        f"Krita is still there, with {[type(w) for w in application.topLevelWidgets() if w.isVisible()]}"
    )
