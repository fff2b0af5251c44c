"""Cases about layers: which one is read, what is added, what stays."""

import sys

import krita_kit as kit
from krita_kit import OBJECT, SIZE, krita

KEPT = ("before", "after", "mask", "object", "result")


def check(t, document, before, tree, rect=OBJECT):
    """There is one new undo step, which can be undone and redone, and nothing changed outside `rect`."""
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    assert after != before, "nothing has changed"
    kit.unchanged_outside(before, after, rect, document.width())
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before, "undo brings the old picture back"
    yield from kit.undo(document, "edit_redo")
    assert kit.seen(document) == after, "redo brings the new picture back"
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    yield from kit.undo(document, "edit_redo")


def run(t, document, layer, rect=OBJECT, group=True, clipped=True):
    """Harmonize the chosen layer and check what must be true of every result; returns the result's layer."""
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    selection = kit.selected(document)
    kept = kit.tree(document.rootNode())
    name = layer.name()
    yield from kit.harmonize(document)
    together = layer.parentNode() if group else layer
    assert document.activeNode().uniqueId() == together.uniqueId(), document.activeNode().name()
    assert kit.selected(document) == selection
    yield from check(t, document, before, tree, rect)
    result = kit.layer(document, name + " (harmonized)")
    assert (result.parentNode().name() == name) == group
    assert result.inheritAlpha() == clipped
    kit.same(kit.without_results(document.rootNode()), kept)
    t.fact("size", (document.width(), document.height()))
    kit.write(t.path(t.case + ".before"), before)
    kit.write(t.path(t.case + ".after"), kit.seen(document))
    kit.write(t.path(t.case + ".result"), bytes(result.pixelData(0, 0, document.width(), document.height())))
    return result


def keep_alpha(t, document, layer):
    """Keep the mask that the daemon should get: what the layer covers according to Krita."""
    whole = (0, 0, document.width(), document.height())
    kit.write(t.path(t.case + ".mask"), bytes(layer.projectionPixelData(*whole))[3::4])
    kit.write(t.path(t.case + ".object"), bytes(layer.projectionPixelData(*whole)))


def case_soft_object_without_selection(t):
    document, layer = yield from kit.scene()
    keep_alpha(t, document, layer)
    yield from run(t, document, layer)


def case_deselected(t):
    document, layer = yield from kit.scene()
    document.setSelection(kit.selection(2, 2, 5, 5))
    yield 0.2
    krita.action("deselect").trigger()
    yield 0.3
    chosen = document.selection()
    assert chosen is None or chosen.width() == 0, chosen
    keep_alpha(t, document, layer)
    yield from run(t, document, layer)


def case_soft_selection(t):
    """Only the selected part of an opaque layer changes, at a soft edge in proportion to the coverage."""
    document, layer = yield from kit.scene(soft=0)
    chosen = kit.selection(36, 24, 18, 14)
    chosen.feather(3)
    document.setSelection(chosen)
    yield 0.3
    coverage = kit.selected(document)
    assert sum(1 for value in coverage if 0 < value < 255) > 0
    shape = bytes(layer.pixelData(0, 0, *SIZE))[3::4]
    mask = bytes(min(pair) for pair in zip(coverage, shape, strict=True))
    kit.write(t.path(t.case + ".mask"), mask)
    before = kit.seen(document)
    yield from run(t, document, layer)
    after = kit.seen(document)
    for place, value in enumerate(mask):
        if not value:
            assert before[4 * place : 4 * place + 4] == after[4 * place : 4 * place + 4]


def case_selection_outside_the_layer(t):
    document, _ = yield from kit.scene()
    document.setSelection(kit.selection(2, 2, 10, 10))
    yield 0.2
    yield from refused(document, "The selection lies outside of what “pasted” shows.")


def refused(document, words):
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    steps = kit.undo_text()
    yield from kit.harmonize(document)
    assert len(kit.said()) == 1, kit.said()
    assert words in kit.said()[0], kit.said()
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before
    assert kit.undo_text() == steps


def case_partly_off_the_canvas(t):
    rect = (-10, 50, 40, 30)
    document, layer = yield from kit.scene(rect=rect)
    off = bytes(layer.pixelData(-10, 50, 40, 30))
    keep_alpha(t, document, layer)
    yield from run(t, document, layer, (0, 50, 30, 14))
    assert bytes(layer.pixelData(-10, 50, 40, 30)) == off


def case_wholly_off_the_canvas(t):
    document, _ = yield from kit.scene(rect=(200, 10, 20, 20))
    yield from refused(document, "“pasted” is empty inside the canvas.")


def case_nested_with_layers_above(t):
    """The layers above are neither read nor changed."""
    document = kit.new()
    kit.paint(document, "scene", kit.scene_bytes(*SIZE), (0, 0, *SIZE))
    outer, inner = document.createGroupLayer("outer"), document.createGroupLayer("inner")
    document.rootNode().addChildNode(outer, None)
    outer.addChildNode(inner, None)
    layer = kit.paint(document, "pasted", kit.object_bytes(32, 24), OBJECT, parent=inner)
    yield from kit.ready(document, layer)
    keep_alpha(t, document, layer)
    kit.write(t.path(t.case + ".below"), kit.seen(document))  # the picture without the layers above
    for name, parent in (("beside", inner), ("over", document.rootNode())):
        kit.paint(
            document, name, bytes((255, 0, 255, 90)) * (SIZE[0] * SIZE[1]), (0, 0, *SIZE), parent=parent
        )
    yield from kit.ready(document, layer)
    yield from run(t, document, layer)


def case_locked(t):
    document, layer = yield from kit.scene()
    layer.setLocked(True)
    yield from run(t, document, layer)
    assert layer.locked()


def case_transparency_mask(t):
    document, layer = yield from kit.scene()
    document.setSelection(kit.selection(34, 22, 12, 12))
    yield 0.2
    krita.action("add_new_transparency_mask").trigger()
    yield 0.4
    krita.action("deselect").trigger()
    yield from kit.ready(document, layer)
    assert [node.type() for node in layer.childNodes()] == ["transparencymask"]
    keep_alpha(t, document, layer)
    yield from run(t, document, layer, (34, 22, 12, 12))


def case_filter_mask(t):
    document, layer = yield from kit.scene()
    node = document.createFilterMask("inverted", krita.filter("invert"), layer)
    layer.addChildNode(node, None)
    yield from kit.ready(document, layer)
    keep_alpha(t, document, layer)
    yield from run(t, document, layer)


def case_multiplied(t):
    document, layer = yield from kit.scene()
    layer.setBlendingMode("multiply")
    kit.draw(document)
    keep_alpha(t, document, layer)
    result = yield from run(t, document, layer, group=False, clipped=False)
    assert result.blendingMode() == "normal"


def case_inherits_alpha(t):
    document, layer = yield from kit.scene()
    layer.setInheritAlpha(True)
    kit.draw(document)
    yield from run(t, document, layer, group=False)


def case_half_opaque(t):
    document, layer = yield from kit.scene()
    layer.setOpacity(128)
    kit.draw(document)
    yield from run(t, document, layer)


def case_group(t):
    document, _ = yield from kit.scene()
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, None)
    kit.paint(document, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    kit.paint(document, "and", kit.object_bytes(16, 12), (20, 14, 16, 12), parent=group)
    yield from kit.ready(document, group)
    keep_alpha(t, document, group)
    yield from run(t, document, group, (10, 10, 26, 16))


def case_group_passed_through(t):
    document, _ = yield from kit.scene()
    group = document.createGroupLayer("group")
    document.rootNode().addChildNode(group, None)
    kit.paint(document, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    group.setPassThroughMode(True)
    yield from kit.ready(document, group)
    yield from run(t, document, group, (10, 10, 16, 12))
    assert group.passThroughMode()


def case_vector_layer(t):
    document, _ = yield from kit.scene()
    vector = document.createVectorLayer("drawn")
    document.rootNode().addChildNode(vector, None)
    vector.addShapesFromSvg(
        '<svg xmlns="http://www.w3.org/2000/svg" width="96px" height="64px">'
        '<rect x="8" y="8" width="20" height="16" fill="#e08040"/></svg>'
    )
    yield from kit.ready(document, vector)
    yield from kit.settled(document)
    keep_alpha(t, document, vector)
    yield from run(t, document, vector, (7, 7, 22, 18))


def case_clone_layer(t):
    document, layer = yield from kit.scene()
    clone = document.createCloneLayer("clone", layer)
    document.rootNode().addChildNode(clone, None)
    layer.setOpacity(0)
    yield from kit.ready(document, clone)
    keep_alpha(t, document, clone)
    yield from run(t, document, clone)


def case_file_layer(t):
    document, _ = yield from kit.scene()
    kit.write_png(t.path("file.png"), kit.object_bytes(20, 16, 0), 20, 16)
    node = document.createFileLayer("from a file", t.path("file.png"), "None")
    document.rootNode().addChildNode(node, None)
    yield from kit.ready(document, node)
    yield lambda: any(node.projectionPixelData(0, 0, 20, 16))
    kit.draw(document)
    yield from run(t, document, node, (0, 0, 20, 16))


def case_not_a_layer(t):
    document, _ = yield from kit.scene()
    node = document.createFilterLayer("filter", krita.filter("invert"), kit.selection(0, 0, *SIZE))
    document.rootNode().addChildNode(node, None)
    yield from kit.ready(document, node)
    yield from refused(document, "“filter” is not a layer with pixels but a filterlayer.")


def case_whole_picture(t):
    """With a single opaque layer there is no scene."""
    document = kit.new()
    layer = kit.paint(document, "all", kit.scene_bytes(*SIZE), (0, 0, *SIZE))
    yield from kit.ready(document, layer)
    yield from refused(document, "The mask covers the whole picture")


def case_tiny_document(t):
    document, layer = yield from kit.scene(size=(3, 2), rect=(1, 0, 1, 1), soft=0)
    yield from run(t, document, layer, (1, 0, 1, 1))


def case_larger_than_a_strip(t):
    """Pixels that are converted and compared in several strips show no seam, and nothing else changes."""
    pixels = sys.modules["glihamba_krita.pixels"]
    kept, pixels.STRIP = pixels.STRIP, 1000
    try:
        document, layer = yield from kit.scene(profile="ClayRGB-elle-V2-g22.icc")
        yield from run(t, document, layer)
    finally:
        pixels.STRIP = kept


def case_another_document_in_front(t):
    """The result is added to its own document, and the other one is in front again."""
    document, _ = yield from kit.scene()
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    kit.trigger()
    other = kit.new((20, 20))
    others = kit.tree(other.rootNode())
    yield 0.05
    yield kit.idle
    yield 0.3
    assert krita.activeDocument() == other
    kit.same(kit.tree(other.rootNode()), others)
    result = kit.layer(document, "pasted (harmonized)")
    assert result.inheritAlpha()
    assert result.parentNode().name() == "pasted"
    document.waitForDone()
    assert kit.seen(document) != before
    other.setModified(False)
    other.close()
    yield 0.3
    yield from check(t, document, before, tree)
