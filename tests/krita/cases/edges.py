"""Cases about the edge clean-up."""

import krita_kit as kit
from docker import docker
from krita_kit import OBJECT
from trouble import after_each  # noqa: F401 - the driver calls it

LEFT, TOP, WIDTH, HEIGHT = OBJECT
GREEN, ORANGE = (20, 230, 20), (40, 120, 220)  # blue first
SOFT, FRINGE = 2, 2


def fringed(**space):
    """An orange object whose soft rim has the green of its old background; (document, layer, docker)."""
    document, layer = yield from kit.scene(soft=0, **space)
    raw = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            depth = min(x, y, WIDTH - 1 - x, HEIGHT - 1 - y)
            colour = GREEN if depth < SOFT + FRINGE - 1 else ORANGE
            raw += bytes((*colour, min(255, 255 * (depth + 1) // (SOFT + 1))))
    if not space:
        layer.setPixelData(bytes(raw), *OBJECT)
    else:
        layer.remove()
        layer = kit.paint(document, "pasted", bytes(raw), OBJECT)
    yield from kit.ready(document, layer)
    shown = docker()
    shown.sliders.reset()
    shown.results.setCurrentIndex(0)
    yield 0.2
    return document, layer, shown


def applied(document, shown, edge):
    shown.edge.setValue(edge)
    shown.apply_button.click()
    yield lambda: not shown.is_busy()
    shown.edge.setValue(0)
    yield from kit.drawn(document)
    assert kit.layer(document, "pasted (harmonized)") is not None, shown.status.text()


def greenness(raw):
    """How much more green than red the most coloured pixel has that can be seen."""
    seen = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    return max(green - red for _, green, red, alpha in seen if alpha > 8)


def case_the_fringe_is_gone(t):
    document, layer, shown = yield from fringed()
    before = bytes(layer.pixelData(*OBJECT))
    yield from applied(document, shown, 0)
    assert greenness(bytes(layer.parentNode().projectionPixelData(*OBJECT))) > 60
    yield from kit.undo(document)
    yield from kit.ready(document, layer)
    tree, seen = kit.tree(document.rootNode()), kit.seen(document)
    yield from applied(document, shown, 2)
    yield 0.5
    t.screenshot("edges.png")
    group = layer.parentNode()
    assert [node.name() for node in group.childNodes()] == ["pasted", "pasted (harmonized)", "pasted (edge)"]
    assert greenness(bytes(group.projectionPixelData(*OBJECT))) < 10
    assert bytes(layer.pixelData(*OBJECT)) == before
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == seen


def case_shrunk_by_so_many_pixels(t):
    """One or two pixels go from every side, soft ones too; the middle stays whole."""
    for edge in (1, 2):
        document, layer, shown = yield from fringed()
        yield from applied(document, shown, edge)
        row = (LEFT, TOP + HEIGHT // 2, WIDTH, 1)
        alpha = bytes(layer.pixelData(*row))[3::4]
        seen = bytes(layer.parentNode().projectionPixelData(*row))[3::4]
        wanted = [0] * edge + list(alpha[: 8 - edge])
        assert all(abs(a - b) <= 1 for a, b in zip(seen[:8], wanted, strict=True)), (list(seen[:8]), wanted)
        assert seen[WIDTH // 2] == 255


def case_inside_nothing_changes(t):
    document, layer, shown = yield from fringed()
    yield from applied(document, shown, 0)
    inner = (LEFT + 8, TOP + 8, WIDTH - 16, HEIGHT - 16)
    plain = bytes(kit.layer(document, "pasted (harmonized)").pixelData(*inner))
    yield from kit.undo(document)
    yield from kit.ready(document, layer)
    yield from applied(document, shown, 2)
    assert bytes(kit.layer(document, "pasted (harmonized)").pixelData(*inner)) == plain


def case_a_second_result_has_the_same_edge(t):
    """The layer that erases the rim is not added twice, and the results are numbered without it."""
    document, layer, shown = yield from fringed()
    yield from applied(document, shown, 1)
    yield from kit.ready(document, layer)
    yield from applied(document, shown, 1)
    found = [node.name() for node in layer.parentNode().childNodes()]
    assert found == ["pasted", "pasted (harmonized)", "pasted (edge)", "pasted (harmonized 2)"], found


def case_in_other_depths(t):
    """16 bits and floats, too."""
    for depth in ("U16", "F32"):
        document, layer, shown = yield from fringed(depth=depth)
        yield from applied(document, shown, 2)
        group = layer.parentNode()
        assert len(group.childNodes()) == 3
        document.setColorSpace("RGBA", "U8", kit.SRGB)
        yield from kit.drawn(document)
        assert greenness(bytes(layer.parentNode().projectionPixelData(*OBJECT))) < 12, depth


def case_with_a_selection_it_says_no(t):
    document, layer, shown = yield from fringed()
    document.setSelection(kit.selection(LEFT + 6, TOP + 6, 12, 12))
    yield 0.2
    yield from applied(document, shown, 1)
    assert len(layer.parentNode().childNodes()) == 2
    assert shown.status.text() == (
        "The edge of “pasted” stayed as it was: the clean-up needs exact pixels, no selection, one frame, "
        "the mode Normal and no layer style."
    ), shown.status.text()
