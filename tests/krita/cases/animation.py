"""Cases with animated layers: one correction for all of their frames."""

import krita_kit as kit
from krita_kit import OBJECT, krita

LEFT, TOP, WIDTH, HEIGHT = OBJECT
PLAIN, OTHER = (40, 120, 220, 255), (60, 200, 90, 255)


def after_each():
    kit.close_all()
    kit.settings(model="tiny", language="en", result="pixels")


def at_time(document, time):
    document.setCurrentTime(time)
    yield 0.3
    document.waitForDone()


def animated(colours, rects, model="statistics"):
    """A scene with an animated layer of one colour a keyframe, at the times 0, 7, 14 and so on."""
    kit.settings(model=model, language="en", result="pixels")
    document, layer = yield from kit.scene()
    layer.enableAnimation()
    yield lambda: layer.animated()
    for number, (colour, rect) in enumerate(zip(colours, rects, strict=True)):
        time = 7 * number
        yield from at_time(document, time)
        if number:
            krita.action("add_blank_frame").trigger()
            yield lambda time=time: layer.hasKeyframeAtTime(time)
            yield 0.4
        else:
            layer.setPixelData(bytes(4 * WIDTH * HEIGHT), *OBJECT)
        if colour is not None:
            layer.setPixelData(bytes(colour) * (rect[2] * rect[3]), *rect)
    yield from at_time(document, 0)
    yield from kit.ready(document, layer)
    return document, layer


def shown(document, node, rect):
    """The colour in the middle of a rectangle in every keyframe, as hexadecimal digits."""
    x, y = rect[0] + rect[2] // 2, rect[1] + rect[3] // 2
    found = {}
    for time in (0, 7, 14):
        yield from at_time(document, time)
        found[time] = bytes(node.pixelData(x, y, 1, 1)).hex()
    yield from at_time(document, 0)
    return found


def result_of(document):
    return kit.layer(document, "pasted (harmonized)")


def case_one_correction_for_all_frames(t):
    """The same colour becomes the same in every frame; the original keeps its frames."""
    document, layer = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    before = yield from shown(document, layer, OBJECT)
    kit.trigger()
    yield lambda: any("frame 2 of 3" in dialog.labelText() for dialog in kit.dialogs())
    t.screenshot("animation.png")
    yield kit.idle
    yield from kit.drawn(document)
    assert not kit.said(), kit.said()
    yield from kit.undo(document)  # at once: a change of the time would be an undo step of its own
    yield lambda: result_of(document) is None
    yield from kit.undo(document, "edit_redo")
    yield lambda: result_of(document) is not None
    made = result_of(document)
    assert made.opacity() == 255
    assert made.parentNode().name() == "pasted"
    assert [time for time in range(20) if made.hasKeyframeAtTime(time)] == [0, 7, 14]
    assert (yield from shown(document, layer, OBJECT)) == before
    after = yield from shown(document, made, OBJECT)
    assert after[0] == after[14] != before[0], (before, after)
    assert after[7] not in (before[7], after[0])


def case_an_object_that_moves(t):
    """A frame whose object lies elsewhere, or which is empty, takes the correction where it has anything."""
    there = (LEFT - 20, TOP - 8, 16, 12)
    document, _ = yield from animated((PLAIN, PLAIN, None), (OBJECT, there, OBJECT))
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    made = result_of(document)
    first, second = (yield from shown(document, made, OBJECT)), (yield from shown(document, made, there))
    here, moved = bytes.fromhex(first[0]), bytes.fromhex(second[7])
    assert here[3] == moved[3] == 255
    assert max(abs(a - b) for a, b in zip(here, moved, strict=True)) <= 4, (
        here,
        moved,
    )  # local light differs
    assert max(abs(a - b) for a, b in zip(here, bytes(PLAIN), strict=True)) > 20, here
    assert first[7] == second[0] == first[14] == "00000000", (first, second)


def case_selection_in_every_frame(t):
    """Only the selected part of each frame is in the result."""
    document, _ = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    document.setSelection(kit.selection(LEFT, TOP, WIDTH // 2 - 2, HEIGHT))
    yield 0.2
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    made = result_of(document)
    left = yield from shown(document, made, (LEFT, TOP, WIDTH // 2 - 4, HEIGHT))
    right = yield from shown(document, made, (LEFT + WIDTH // 2, TOP, WIDTH // 2, HEIGHT))
    assert left[0] == left[14] != bytes(PLAIN).hex(), left
    assert left[7][-2:] == "ff", left
    assert {pixel[-2:] for pixel in right.values()} == {"00"}, right


def case_playback_range(t):
    """Keyframes that the range does not show keep their colours."""
    document, _ = yield from animated((PLAIN, PLAIN, PLAIN), (OBJECT,) * 3)
    document.setPlayBackRange(7, 10)
    yield 0.2
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    after = yield from shown(document, result_of(document), OBJECT)
    assert after[7] != bytes(PLAIN).hex() == after[0] == after[14], after


def case_time_moved_meanwhile(t):
    """The person may look at another frame while the layer is harmonized."""
    document, _ = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    kit.trigger()
    yield lambda: any("frame" in dialog.labelText() for dialog in kit.dialogs())
    document.setCurrentTime(7)
    yield kit.idle
    yield from kit.drawn(document)
    assert not kit.said(), kit.said()
    assert document.currentTime() == 7
    assert result_of(document) is not None


def case_curves_follow_every_frame(t):
    """An editable result is a filter layer, which changes all frames."""
    document, _ = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    kit.settings(model="statistics", language="en", result="curves")
    before = {}
    for time in (0, 7):
        yield from at_time(document, time)
        before[time] = kit.seen(document)
    yield from at_time(document, 0)
    yield from kit.harmonize(document)
    assert not any("animated" in words for words in kit.said()), kit.said()
    assert result_of(document).type() == "filterlayer"
    for time in (0, 7):
        yield from at_time(document, time)
        assert kit.seen(document) != before[time]


def case_animation_in_a_group(t):
    """Pixels would freeze it, so they are refused; curves are not."""
    document, layer = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    group = document.createGroupLayer("moving")
    document.rootNode().addChildNode(group, None)
    group.addChildNode(layer.duplicate(), None)
    yield from kit.ready(document, group)
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    yield from kit.harmonize(document)
    (said,) = kit.said()
    assert said == (
        "“moving” holds an animation. Harmonize the animated paint layer in it, or choose “editable curves” "
        "as the result: they correct every frame."
    ), said
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before


def case_animated_in_another_mode(t):
    document, layer = yield from animated((PLAIN, OTHER, PLAIN), (OBJECT,) * 3)
    layer.setBlendingMode("multiply")
    yield from kit.ready(document, layer)
    tree = kit.tree(document.rootNode())
    yield from kit.harmonize(document)
    (said,) = kit.said()
    assert said == (
        "“pasted” is animated, and its frames need the blending mode Normal and no layer style. Change that, "
        "or copy the frame to a layer of its own and harmonize that."
    ), said
    kit.same(kit.tree(document.rootNode()), tree)
