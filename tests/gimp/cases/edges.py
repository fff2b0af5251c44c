"""Cases about the edge clean-up."""

import array

import gimp_kit as kit
from gimp_kit import SIZE, Gimp

RECT = (30, 16, 36, 30)
GREEN, ORANGE = (20, 230, 20), (220, 120, 40)


def after_each(t):
    kit.delete_all()


def fringed(soft=2, fringe=2, **how):
    """An orange object whose rim still has the green of its old background; (image, layer)."""
    image, layer = kit.scene(rect=RECT, soft=0, **how)
    _, _, width, height = RECT
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            depth = min(x, y, width - 1 - x, height - 1 - y)
            alpha = min(255, 255 * (depth + 1) // (soft + 1))
            pixels += bytes((*(GREEN if depth < soft + fringe - 1 else ORANGE), alpha))
    kit.put(layer, bytes(pixels))
    return image, layer


def greenness(raw, soft=2):
    """How much more green than red the most coloured pixel has that can be seen."""
    seen = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    return max(g - r for r, g, _, a in seen if a > 8)


def case_the_fringe_is_gone(t):
    image, layer = fringed()
    before = kit.get(layer)
    group = kit.harmonize(image, layer)
    assert greenness(kit.get(group)) > 60
    kit.ungroup(image, group)
    group = kit.harmonize(image, layer, edge=2)
    mask = kit.get(group.get_mask(), form="Y u8")
    shown = bytearray(kit.get(group))
    shown[3::4] = bytes(min(pair) for pair in zip(shown[3::4], mask, strict=True))
    assert greenness(shown) < 10
    kit.export(image, "edges.png")
    assert kit.get(layer) == before


def case_shrunk_by_so_many_pixels(t):
    """The mask takes one or two pixels off every side, soft ones too; the middle stays whole."""
    for edge in (1, 2):
        image, layer = fringed()
        group = kit.harmonize(image, layer, edge=edge)
        assert (group.get_width(), group.get_height()) == RECT[2:]
        mask, alpha = kit.get(group.get_mask(), form="Y u8"), kit.get(layer)[3::4]
        width = RECT[2]
        row = 15 * width
        wanted = [0] * edge + list(alpha[row : row + 8 - edge])
        assert list(mask[row : row + 8]) == wanted, (list(mask[row : row + 8]), wanted)
        assert mask[row + width // 2] == 255
        kit.delete_all()


def case_inside_nothing_changes(t):
    image, layer = fringed()
    group = kit.harmonize(image, layer)
    plain = kit.get(kit.result(group))
    kit.ungroup(image, group)
    group = kit.harmonize(image, layer, edge=2)
    clean = kit.get(kit.result(group))
    inner = (10, 10, RECT[2] - 20, RECT[3] - 20)
    old, new = (kit.pictures.cut(raw, inner, RECT[2], 3) for raw in (plain, clean))
    assert max(abs(a - b) for a, b in zip(old, new, strict=True)) <= 1


def case_off_the_canvas_and_other_spaces(t):
    """It works beyond the canvas, in deep images and in gray ones."""
    for how in ({}, {"precision": Gimp.Precision.FLOAT_LINEAR}, {"base": kit.GRAY}):
        image, layer = fringed(**how)
        layer.set_offsets(-10, 50)
        group = kit.harmonize(image, layer, edge=1)
        mask = kit.get(group.get_mask(), form="Y u8")
        assert len(mask) == RECT[2] * RECT[3]
        assert mask[0] == 0
        assert mask[15 * RECT[2] + 4] == 255
        assert image.get_precision() == how.get("precision", kit.U8)
        kit.delete_all()


def case_again(t):
    """A second run replaces the mask; the selection of the person stays."""
    image, layer = fringed()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 20, 20, 20)
    selection = kit.get(image.get_selection())
    group = kit.harmonize(image, layer, edge=2)
    wanted = kit.seen(image)
    assert kit.get(group.get_mask(), form="Y u8")[4 * RECT[2] + 4] == 255, (
        "the mask is that of the whole object"
    )
    kit.harmonize(image, group, edge=2)
    assert kit.seen(image) == wanted
    kit.harmonize(image, layer, edge=1)
    assert kit.seen(image) != wanted
    kit.harmonize(image, layer)
    assert group.get_mask() is None
    kit.harmonize(image, layer, edge=2)
    assert kit.seen(image) == wanted
    assert kit.get(image.get_selection()) == selection
    numbers = array.array("B", kit.get(group.get_mask(), form="Y u8"))
    assert max(numbers) == 255
    assert (image.get_width(), image.get_height()) == SIZE
