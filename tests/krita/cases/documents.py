"""Cases about real documents: layers selected, styled, hidden, locked, masked, or harmonized again."""

import sys

import krita_kit as kit
from krita_kit import OBJECT, SIZE, krita

try:
    from PyQt5.QtCore import QItemSelectionModel
    from PyQt5.QtWidgets import QWidget
except ImportError:
    from PyQt6.QtCore import QItemSelectionModel
    from PyQt6.QtWidgets import QWidget
from held import hold
from trouble import after_each, pasted, shown, untouched  # noqa: F401 - the driver calls after_each

STYLE = """<asl><node type="Descriptor" name="" classId="null">
 <node type="UnitFloat" key="Scl " unit="#Prc" value="100"/>
 <node type="Boolean" key="masterFXSwitch" value="1"/>
 <node type="Descriptor" name="" key="FrFX" classId="FrFX">
  <node type="Boolean" key="enab" value="1"/>
  <node type="Enum" typeId="FStl" key="Styl" value="OutF"/>
  <node type="Enum" typeId="FrFl" key="PntT" value="SClr"/>
  <node type="Enum" typeId="BlnM" key="Md  " value="Nrml"/>
  <node type="UnitFloat" key="Opct" unit="#Prc" value="100"/>
  <node type="UnitFloat" key="Sz  " unit="#Pxl" value="4"/>
  <node type="Descriptor" name="" key="Clr " classId="RGBC">
   <node type="Double" key="Rd  " value="20"/>
   <node type="Double" key="Grn " value="240"/>
   <node type="Double" key="Bl  " value="60"/>
  </node>
 </node>
</node>
<node type="Descriptor" name="" classId="Styl">
 <node type="Descriptor" name="" key="documentMode" classId="documentMode"/>
</node></asl>"""


def view():
    return krita.activeWindow().activeView()


def chosen():
    return sorted(node.name() for node in view().selectedNodes())


def names(node):
    """The names of all layers below a node, in lists like the tree."""
    return [(name, below) if below else name for name, *_, below in map(named, kit.tree(node))]


def named(state):
    name, *middle, below = state
    return (name, *middle, [named(one)[0] for one in below])


TREE = ["Background", "scene", ("pasted", ["pasted", "pasted (harmonized)"])]


def layer_list():
    """The tree in Krita's layers docker."""
    widgets = krita.activeWindow().qwindow().findChildren(QWidget)
    return next(widget for widget in widgets if widget.objectName() == "listLayers")


def case_several_selected(t):
    """Selected by the menu or by Ctrl+click: a layer that covers everything is the scene, and left alone."""
    document, layer = yield from kit.scene()
    krita.action("select_all_layers").trigger()
    yield lambda: len(chosen()) == 3
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.same(names(document.rootNode()), TREE)
    yield from kit.undo(document)
    kit.same(names(document.rootNode()), ["Background", "scene", "pasted"])
    document.setActiveNode(layer)
    yield lambda: chosen() == ["pasted"]
    rows = layer_list()
    rows.selectionModel().select(
        rows.model().index(1, 0),
        QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows,
    )
    yield lambda: chosen() == ["pasted", "scene"]
    yield from kit.harmonize(document)
    kit.same(names(document.rootNode()), TREE)
    assert chosen() == ["pasted"]


def case_several_objects(t):
    """Each is harmonized, from the lowest up, as if one after the other; one window shows the progress."""
    document, layer = yield from kit.scene()
    other = yield from pasted(document, "other", (44, 30, 30, 24))
    for one in (layer, other):
        document.setActiveNode(one)
        yield lambda one=one: chosen() == [one.name()]
        yield from kit.harmonize(document)
    wanted = kit.seen(document)
    for _ in range(2):
        yield from kit.undo(document)
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    krita.action("select_all_layers").trigger()
    yield lambda: len(chosen()) == 4
    kit.trigger()
    windows = []

    def ended():
        windows.append(len(kit.dialogs()))
        return kit.idle()

    yield ended
    yield from kit.drawn(document)
    assert not kit.said(), kit.said()
    assert max(windows) == 1
    below = ("pasted", ["pasted", "pasted (harmonized)"])
    kit.same(
        names(document.rootNode()), ["Background", "scene", below, ("other", ["other", "other (harmonized)"])]
    )
    assert kit.seen(document) == wanted
    for _ in range(2):
        yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before


def case_layer_style(t):
    """With a stroke, the picture is that of a layer whose own pixels have the harmonized colours."""
    kept = []
    delivery = sys.modules["glihamba_krita.deliver"].Delivery
    plain = delivery.prepared

    def prepared(self, raw):
        kept.append((bytearray(raw), self.seen.rect))
        return plain(self, raw)

    document, layer = yield from kit.scene()
    layer.setLayerStyleFromAsl(STYLE)
    kit.draw(document)
    assert kit.at(kit.seen(document), OBJECT[0] - 2, 30)[:3] == [60, 240, 20], "the stroke is there"
    before = kit.seen(document)
    delivery.prepared = prepared
    try:
        yield from kit.harmonize(document)
    finally:
        delivery.prepared = plain
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    assert after != before
    result = kit.layer(document, "pasted (harmonized)")
    result.setVisible(False)
    kit.draw(document)
    assert kit.seen(document) == before, "the original is as it was"
    ((raw, rect),) = kept
    raw[3::4] = bytes(layer.pixelData(*rect))[3::4]
    layer.setPixelData(bytes(raw), *rect)
    kit.draw(document)
    wanted = kit.seen(document)
    assert max(abs(a - b) for a, b in zip(after, wanted, strict=True)) <= 2
    t.screenshot("style.png")


def case_locked_group(t):
    """Krita adds nothing to a locked group, so no job begins."""
    document, _ = yield from kit.scene()
    group = document.createGroupLayer("folder")
    document.rootNode().addChildNode(group, None)
    layer = kit.paint(document, "inside", kit.object_bytes(*OBJECT[2:]), OBJECT, parent=group)
    yield from kit.ready(document, layer)
    group.setLocked(True)
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    hold()
    kit.trigger()
    yield kit.idle  # although the daemon is held
    (said,) = kit.said()
    assert said.startswith("“inside” lies in “folder”, which is locked, so nothing can be added there."), said
    untouched(document, before, tree)


def case_local_selection_mask(t):
    """Only what the layer's own selection holds is changed, although nothing is selected in the document."""
    document, layer = yield from kit.scene(soft=0)
    document.setSelection(kit.selection(34, 22, 12, 10))
    yield 0.2
    krita.action("add_new_selection_mask").trigger()
    yield lambda: any(node.type() == "selectionmask" for node in layer.childNodes())
    yield from kit.ready(document, layer)
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    kit.unchanged_outside(before, after, (34, 22, 12, 10), SIZE[0])
    assert all(kit.at(before, x, 27) != kit.at(after, x, 27) for x in (34, 40, 45))


def case_partly_off_the_canvas(t):
    """What lies beyond the canvas is corrected like what is beside it: moved in, it shows no seam."""
    rect = (-12, 44, 40, 30)
    document = kit.new()
    kit.paint(document, "scene", kit.scene_bytes(*SIZE), (0, 0, *SIZE))
    layer = kit.paint(document, "pasted", bytes((50, 130, 210, 255)) * 1200, rect)
    yield from kit.ready(document, layer)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    colours = bytes(kit.layer(document, "pasted (harmonized)").pixelData(*rect))
    assert set(colours[3::4]) == {255}
    rows = [[kit.at(colours, x, y, 40) for x in range(40)] for y in range(30)]
    assert max(abs(a - b) for a, b in zip(rows[5][25], (50, 130, 210, 255), strict=True)) > 4
    for y in range(18):
        assert max(abs(a - b) for a, b in zip(rows[y][11], rows[y][12], strict=True)) <= 1, y
    for x in range(40):
        assert max(abs(a - b) for a, b in zip(rows[19][x], rows[20][x], strict=True)) <= 1, x


def case_group_partly_off_the_canvas(t):
    document, _ = yield from kit.scene()
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, None)
    kit.paint(document, "in it", bytes((50, 130, 210, 255)) * 1200, (-12, 20, 40, 30), parent=group)
    yield from kit.ready(document, group)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    colours = bytes(kit.layer(document, "group (harmonized)").pixelData(-12, 20, 40, 30))
    left, right = kit.at(colours, 11, 10, 40), kit.at(colours, 12, 10, 40)
    assert right[3] == 255
    assert max(abs(a - b) for a, b in zip(left, right, strict=True)) <= 1, (left, right)


def case_mask_is_active(t):
    """The layer of the mask is taken."""
    document, layer = yield from kit.scene()
    document.setSelection(kit.selection(34, 22, 12, 12))
    yield 0.2
    krita.action("add_new_transparency_mask").trigger()
    yield lambda: layer.childNodes()
    krita.action("deselect").trigger()
    (mask,) = layer.childNodes()
    yield from kit.ready(document, mask)
    assert document.activeNode().type() == "transparencymask"
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)") is not None
    kit.unchanged_outside(before, kit.seen(document), (34, 22, 12, 12), SIZE[0])


def case_one_keyframe(t):
    """A layer that was made an animation's without a second frame looks the same at all times."""
    document, layer = yield from kit.scene()
    layer.enableAnimation()
    yield lambda: layer.animated()
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert kit.seen(document) != before
    assert kit.layer(document, "pasted (harmonized)") is not None


def case_hidden(t):
    """It is harmonized as if it were shown, and stays hidden."""
    document, layer = yield from kit.scene()
    yield from kit.harmonize(document)
    wanted = kit.seen(document)
    yield from kit.undo(document)
    document.setActiveNode(layer)
    layer.setVisible(False)
    kit.draw(document)
    yield lambda: chosen() == ["pasted"]
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert kit.seen(document) == before
    assert not layer.visible()
    layer.setVisible(True)
    kit.draw(document)
    assert kit.seen(document) == wanted


def case_again(t):
    """A second run sees the object itself in the scene of now. Its result is visible, and one undo step."""
    document, layer = yield from kit.scene(soft=0)
    yield from kit.harmonize(document)
    first = kit.seen(document)
    scene = kit.layer(document, "scene")
    for turn, start in enumerate(("group", "original", "result")):
        scene.setPixelData(bytes((90 + 50 * turn, 30, 40, 255)) * (SIZE[0] * SIZE[1]), 0, 0, *SIZE)
        kit.draw(document)
        group = layer.parentNode()
        node = {"group": group, "original": layer, "result": group.childNodes()[-1]}[start]
        document.setActiveNode(node)
        yield lambda node=node: view().selectedNodes()[0].uniqueId() == node.uniqueId()
        before, tree = kit.seen(document), kit.tree(document.rootNode())
        yield from kit.harmonize(document)
        assert not kit.said(), kit.said()
        after = kit.seen(document)
        assert kit.at(after, 45, 32) != kit.at(before, 45, 32), start
        kit.unchanged_outside(before, after, OBJECT, SIZE[0])
        assert document.activeNode().name() == node.name(), (document.activeNode().name(), start)
        yield from kit.undo(document)
        kit.same(kit.tree(document.rootNode()), tree)
        assert kit.seen(document) == before
        yield from kit.undo(document, "edit_redo")
        assert kit.seen(document) == after
    kit.same(
        names(document.rootNode())[-1],
        (
            "pasted",
            [
                "pasted",
                "pasted (harmonized)",
                "pasted (harmonized 2)",
                "pasted (harmonized 3)",
                "pasted (harmonized 4)",
            ],
        ),
    )
    # The same scene gives the same colours as a first run: the earlier results were not in the way.
    scene.setPixelData(kit.scene_bytes(*SIZE), 0, 0, *SIZE)
    kit.draw(document)
    yield from kit.harmonize(document)
    assert kit.seen(document) == first
    # A layer of the person's own in the group stays above the results.
    details = kit.paint(
        document, "details", bytes((255, 255, 255, 255)) * 16, (44, 30, 4, 4), parent=layer.parentNode()
    )
    yield from kit.ready(document, layer)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.same(
        [node.name() for node in details.parentNode().childNodes()][-2:], ["pasted (harmonized 6)", "details"]
    )
