"""Cases about results that stay editable: a filter layer with curves beside the object."""

import os
import tempfile

import krita_kit as kit
from documents import chosen, names
from krita_kit import OBJECT, SIZE
from trouble import after_each  # noqa: F401 - the driver calls it

CURVES = ["Background", "scene", ("pasted", ["pasted", "pasted (harmonized)"])]


def inside(raw, size=SIZE, kind="B"):
    """The colours of the object's opaque part."""
    left, top, width, height = OBJECT
    return [
        kit.at(raw, x, y, size[0], kind)[:3]
        for y in range(top + 5, top + height - 5)
        for x in range(left + 5, left + width - 5)
    ]


def rms(some, others, full=255):
    """The root mean square difference, in levels of 255."""
    squares = [
        (a - b) ** 2 for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    ]
    return 255 / full * (sum(squares) / len(squares)) ** 0.5


def both(t, document, layer, kind="B", full=255):
    """Harmonize to pixels, then to curves, which stay; returns the looks before and with each of the two."""
    kit.settings(model="statistics", result="pixels")
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    exact = kit.seen(document)
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield lambda: chosen() == ["pasted"]
    kit.settings(result="curves")
    tree = kit.tree(document.rootNode())
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    curves = kit.seen(document)
    kit.same(names(document.rootNode()), CURVES)
    assert kit.layer(document, "pasted (harmonized)").type() == "filterlayer"
    assert chosen() == ["pasted"]
    assert document.activeNode().type() == "grouplayer"
    changed = rms(inside(before, kind=kind), inside(exact, kind=kind), full)
    off = rms(inside(curves, kind=kind), inside(exact, kind=kind), full)
    t.fact("changed by", changed)
    t.fact("off by", off)
    assert changed > 8, changed
    assert off < 2, off
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before
    yield from kit.undo(document, "edit_redo")
    assert kit.seen(document) == curves
    return before, exact, curves


def case_curves(t):
    """One step of undo, near the exact pixels, soft edges as they were; strength is the filter's opacity."""
    document, layer = yield from kit.scene()
    before, exact, curves = yield from both(t, document, layer)
    kit.unchanged_outside(before, curves, OBJECT, SIZE[0])
    assert max(abs(a - b) for a, b in zip(curves, exact, strict=True)) < 12, "at soft edges, too"
    result = kit.layer(document, "pasted (harmonized)")
    result.setOpacity(128)
    kit.draw(document)
    half = kit.seen(document)
    for old, mixed, new in zip(inside(before), inside(half), inside(curves), strict=True):
        assert all(abs((a + b) / 2 - m) <= 1 for a, m, b in zip(old, mixed, new, strict=True)), (
            old,
            mixed,
            new,
        )
    result.setOpacity(255)
    kit.draw(document)


def case_it_follows_the_object(t):
    """What is painted on the object afterwards is corrected, and moved with it."""
    document, layer = yield from kit.scene(soft=0)
    before, _, curves = yield from both(t, document, layer)
    colour, corrected = kit.at(before, 40, 30), kit.at(curves, 40, 30)
    layer.setPixelData(bytes(colour) * 16, 70, 8, 4, 4)
    kit.draw(document)
    assert kit.at(kit.seen(document), 71, 9) == corrected
    layer.move(5, 3)
    kit.draw(document)
    assert kit.at(kit.seen(document), 45, 33) == corrected
    t.screenshot("editable.png")


def case_a_selection_is_the_filter_s_mask(t):
    document, _ = yield from kit.scene(soft=0)
    document.setSelection(kit.selection(36, 24, 14, 10))
    yield 0.2
    kit.settings(model="statistics", result="curves")
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    kit.unchanged_outside(before, after, (36, 24, 14, 10), SIZE[0])
    assert kit.at(after, 40, 30) != kit.at(before, 40, 30)


def case_sixteen_bits(t):
    document, layer = yield from kit.scene(depth="U16")
    yield from both(t, document, layer, "H", 65535)


def case_again(t):
    """A second run's curves lead from the first one's look to the new one."""
    document, layer = yield from kit.scene(soft=0)
    _, exact, _ = yield from both(t, document, layer)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    assert rms(inside(kit.seen(document)), inside(exact)) < 2
    kit.same(
        names(document.rootNode())[-1], ("pasted", ["pasted", "pasted (harmonized)", "pasted (harmonized 2)"])
    )


def noted(document):
    """What floats over the picture when the result is there."""
    from krita import View

    said, plain = [], View.showFloatingMessage
    setattr(View, "showFloatingMessage", lambda self, words, *rest: said.append(words))  # noqa: B010
    try:
        yield from kit.harmonize(document)
    finally:
        setattr(View, "showFloatingMessage", plain)  # noqa: B010
    assert not kit.said(), kit.said()
    return said


def case_a_poor_fit_is_said(t):
    """Colours that the correction moves in each other's way have no curves: the error is stated."""
    document, layer = yield from kit.scene(soft=0)
    width, height = OBJECT[2:]
    pixels = b"".join(
        bytes(((37 * x) % 256, (91 * y + 50 * x) % 256, (x * y * 7) % 256, 255))
        for y in range(height)
        for x in range(width)
    )
    layer.setPixelData(pixels, *OBJECT)
    kit.draw(document)
    kit.settings(model="tiny", result="pixels")
    yield from kit.harmonize(document)
    exact = kit.cut(kit.seen(document), OBJECT, SIZE[0])
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield lambda: chosen() == ["pasted"]
    kit.settings(result="curves")
    said = yield from noted(document)
    t.fact("said", said)
    (words,) = [one for one in said if "levels off on average" in one]
    assert words.startswith("The curves for “pasted” are "), words
    stated, drawn = float(words.split()[5]), kit.cut(kit.seen(document), OBJECT, SIZE[0])
    pairs = [(a, b) for at, (a, b) in enumerate(zip(exact, drawn, strict=True)) if at % 4 != 3]
    measured = (sum((a - b) ** 2 for a, b in pairs) / len(pairs)) ** 0.5
    t.fact("stated and measured", (stated, measured))
    assert stated > 2
    assert abs(stated - measured) < 0.4, (stated, measured)


def case_where_no_curves_are_possible(t):
    """A float image gets exact pixels, and the person is told."""
    kit.settings(model="statistics", result="curves")
    document, _ = yield from kit.scene(depth="F32", profile=kit.LINEAR)
    said = yield from noted(document)
    assert "“pasted” was given exact pixels: curves need an RGB image of 8 or 16 bits" in said[0], said
    assert kit.layer(document, "pasted (harmonized)").type() == "paintlayer"


def case_a_file_that_cannot_be_written(t):
    document, _ = yield from kit.scene()
    kit.settings(model="statistics", result="curves")
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    place, tempfile.tempdir = tempfile.tempdir, os.path.join(t.folder, "nowhere")
    try:
        yield from kit.harmonize(document)
    finally:
        tempfile.tempdir = place
    (said,) = kit.said()
    assert said.startswith("The curves for “pasted” could not be made ("), said
    assert "Nothing was changed." in said, said
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before
