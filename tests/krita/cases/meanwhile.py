"""Cases about what changes in Krita while a harmonization runs. The result still fits, or it is dropped."""

import os

import krita_kit as kit

try:
    from PyQt5.QtCore import QPoint, QPointF, Qt
    from PyQt5.QtTest import QTest
    from PyQt5.QtWidgets import QWidget
except ImportError:
    from PyQt6.QtCore import QPoint, QPointF, Qt
    from PyQt6.QtTest import QTest
    from PyQt6.QtWidgets import QWidget
from held import GAVE_UP, hold, let_go
from trouble import PAUSE, after_each, pasted, shown, untouched  # noqa: F401 - the driver calls after_each


def case_document_closed_meanwhile(t):
    document, _ = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    document.setModified(False)
    document.close()
    yield kit.idle
    assert kit.said() == ["The image was closed meanwhile, so the result was dropped."], kit.said()
    yield lambda: os.path.exists(GAVE_UP)
    let_go()


def case_layer_deleted_meanwhile(t):
    document, layer = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    layer.remove()
    yield PAUSE
    tree = kit.tree(document.rootNode())
    let_go()
    yield kit.idle
    assert kit.said() == ["“pasted” was deleted meanwhile, so the result was dropped."], kit.said()
    kit.same(kit.tree(document.rootNode()), tree)


def case_image_resized_meanwhile(t):
    document, _ = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    document.resizeImage(0, 0, 50, 50)
    yield PAUSE
    tree = kit.tree(document.rootNode())
    let_go()
    yield kit.idle
    assert "has changed its size" in kit.said()[0], kit.said()
    kit.same(kit.tree(document.rootNode()), tree)


def case_active_layer_and_selection_changed_meanwhile(t):
    """The person may go on working: the result is added and their selection and active layer stay."""
    document, _ = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    scene = kit.layer(document, "scene")
    document.setActiveNode(scene)
    document.setSelection(kit.selection(1, 1, 9, 9))
    yield PAUSE
    chosen = kit.selected(document)
    let_go()
    yield kit.idle
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)").parentNode().name() == "pasted"
    assert document.activeNode().uniqueId() == scene.uniqueId()
    assert kit.selected(document) == chosen


def dropped(document, change, name="pasted"):
    """After `change`, made while the daemon works, the result no longer fits."""
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    change()
    yield PAUSE
    document.waitForDone()
    before, tree, steps = kit.seen(document), kit.tree(document.rootNode()), kit.undo_text()
    let_go()
    yield kit.idle
    assert kit.said() == [
        f"“{name}” was moved or painted on meanwhile, so the result was dropped. Try again."
    ], kit.said()
    kit.close_all()
    yield PAUSE
    untouched(document, before, tree)
    assert kit.undo_text() == steps


def case_layer_moved_or_painted_on_meanwhile(t):
    document, layer = yield from kit.scene()
    yield from dropped(document, lambda: layer.move(10, 5))
    yield from dropped(document, lambda: layer.setPixelData(bytes((0, 0, 255, 255)) * 9, 50, 32, 3, 3))
    layer.setBlendingMode("multiply")
    kit.draw(document)
    yield from dropped(document, lambda: layer.move(0, 0))


def case_group_painted_in_meanwhile(t):
    document, _ = yield from kit.scene()
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, None)
    inner = kit.paint(document, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    yield from kit.ready(document, group)

    def paint():
        inner.setPixelData(bytes((0, 0, 255, 255)) * 9, 16, 14, 3, 3)
        kit.draw(document)

    yield from dropped(document, paint, "group")


def case_shapes_moved_meanwhile(t):
    document, _ = yield from kit.scene()
    vector = document.createVectorLayer("drawn")
    document.rootNode().addChildNode(vector, None)
    vector.addShapesFromSvg(
        '<svg xmlns="http://www.w3.org/2000/svg" width="96px" height="64px">'
        '<circle cx="28.3" cy="28" r="12.2" fill="#e08040"/></svg>'
    )
    yield from kit.ready(document, vector)
    yield from kit.settled(document)
    (shape,) = vector.shapes()

    def move():
        shape.setPosition(shape.position() + QPointF(9, 0))
        shape.update()

    yield from dropped(document, move, "drawn")


def case_scene_painted_on_meanwhile(t):
    """The person may change what lies below: the result still fits the layer."""
    document, _ = yield from kit.scene()
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    kit.layer(document, "scene").setPixelData(bytes((0, 0, 255, 255)) * 9, 40, 30, 3, 3)
    yield PAUSE
    let_go()
    yield kit.idle
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)").inheritAlpha()


def canvas():
    """The widget that the person draws on."""
    widgets = kit.krita.activeWindow().qwindow().findChildren(QWidget)
    kinds = ("KisOpenGLCanvas2", "KisQPainterCanvas")
    return next(w for w in widgets if w.metaObject().className() in kinds and w.isVisible())


def case_another_layer_clicked_while_the_result_is_added(t):
    """No result is added without its group: a soft object would become opaque at its edge."""
    document, layer = yield from kit.scene(soft=6)
    scene = kit.layer(document, "scene")
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    document.setActiveNode(scene)
    kit.krita.action("KritaShape/KisToolBrush").trigger()
    kit.krita.activeWindow().activate()
    canvas().setFocus()
    yield 0.5
    tree, where = kit.tree(document.rootNode()), canvas().rect().center()
    QTest.mousePress(canvas(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    yield PAUSE
    QTest.mouseMove(canvas(), where + QPoint(5, 3))
    yield PAUSE
    assert not document.tryBarrierLock(), "a stroke is being drawn: the plugin waits for its end"
    let_go()
    yield (
        lambda: document.activeNode().uniqueId() == layer.uniqueId()
    )  # the plugin activates it to make the group
    document.setActiveNode(scene)
    QTest.mouseRelease(canvas(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    yield kit.idle
    yield 1
    assert len(kit.said()) == 1, kit.said()
    assert kit.said()[0].startswith("Krita could not add the result to “pasted”: another layer"), kit.said()
    assert kit.said()[0].endswith("Nothing was changed: try again.")
    assert document.activeNode().uniqueId() == scene.uniqueId()
    kit.same(kit.tree(document.rootNode()), tree)
    assert "Brush" in kit.undo_text(), kit.undo_text()
