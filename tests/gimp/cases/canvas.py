"""Cases about the preview on the canvas: what it shows, and that it leaves nothing behind.

It runs in this process.
"""

import os
import sys

import gimp_kit as kit
from gimp_kit import OBJECT, SIZE, Gimp

VENDOR = os.environ["TEST_VENDOR"]
sys.path += [VENDOR, os.path.dirname(os.path.dirname(VENDOR))]
from glihamba_gimp.canvas import CanvasPreview  # noqa: E402
from glihamba_gimp.filters import HAVE_OFFSETS  # noqa: E402
from glihamba_gimp.fit import Fit  # noqa: E402

DARKER = Fit(((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)), 0.0)
LIFTED = Fit(((0.9, 0.0, 0.0, 0.05), (0.0, 0.9, 0.0, 0.05), (0.0, 0.0, 0.9, 0.05)), 0.0)
if not HAVE_OFFSETS:
    LIFTED = Fit(((1.4, 0.1, 0.0), (0.0, 1.4, 0.1), (0.1, 0.0, 1.4)), 0.0)
WHOLE = (0, 0, *SIZE)


def after_each(t):
    kit.delete_all()


def everything(image):
    return kit.state(image), kit.seen(image), len(image.get_channels()), image.is_dirty()


def case_shown_and_taken_away(t):
    image, layer = kit.scene()
    image.clean_all()
    before, picture = everything(image), kit.seen(image)
    preview = CanvasPreview(layer, WHOLE)
    seen = []
    for fit, strength in ((DARKER, 1.0), (DARKER, 0.5), (LIFTED, 1.0), (LIFTED, 0.0)):
        preview.show(fit, strength)
        assert len(layer.get_filters()) == 1
        assert not image.is_dirty(), "a saved image stays saved"
        seen.append(kit.seen(image))
        kit.unchanged_outside(picture, seen[-1], OBJECT, SIZE[0])
    assert len({*seen[:3], picture}) == 4
    assert seen[3] == picture
    preview.close()
    kit.same(everything(image), before)
    preview.close()
    preview.show(DARKER, 1.0)
    assert kit.seen(image) == seen[0], "it can be shown again"
    preview.close()
    kit.same(everything(image), before)


def case_divider(t):
    """Left of the divider is before; a selection comes back as it was, soft edges too."""
    for select in (False, True):
        image, layer = kit.scene(soft=0)
        if select:
            image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 22, 20, 18)
            Gimp.Selection.feather(image, 4)
        before, picture = everything(image), kit.seen(image)
        preview = CanvasPreview(layer, WHOLE)
        preview.show(DARKER, 1.0)
        whole = kit.seen(image)
        middle = SIZE[0] // 2
        preview.show(DARKER, 1.0, 0.5)
        split = kit.seen(image)
        for y in range(SIZE[1]):
            row = slice(4 * SIZE[0] * y, 4 * SIZE[0] * (y + 1))
            assert split[row][: 4 * middle] == picture[row][: 4 * middle]
            assert split[row][4 * middle :] == whole[row][4 * middle :]
        assert split not in (picture, whole)
        kit.same(kit.state(image)["selection"], before[0]["selection"])
        preview.show(LIFTED, 1.0, 0.5)
        assert kit.seen(image) != split
        preview.show(DARKER, 1.0, 1.0)
        assert kit.seen(image) == picture
        preview.close()
        kit.same(everything(image), before)
        kit.delete_all()


def case_over_an_earlier_result(t):
    """The preview starts from the layer itself, whatever an earlier run has added."""
    image, layer = kit.scene()
    wanted = CanvasPreview(layer, WHOLE)
    wanted.show(DARKER, 1.0)
    picture = kit.seen(image)
    wanted.close()
    for editable in (False, True):
        status, _, said = kit.call(image, [layer], editable=editable, model="statistics")
        assert status == kit.SUCCESS, said
        before = everything(image)
        preview = CanvasPreview(layer, WHOLE)
        preview.show(DARKER, 1.0)
        apart = [abs(a - b) for a, b in zip(kit.seen(image), picture, strict=True)]
        assert max(apart) <= 1, "a group of 8 bits rounds once more"
        preview.close()
        kit.same(everything(image), before)


def case_the_person_goes_on_working(t):
    """What is changed meanwhile stays changed; a layer or image that is deleted meanwhile does no harm."""
    image, layer = kit.scene()
    image.clean_all()
    preview = CanvasPreview(layer, WHOLE)
    preview.show(DARKER, 1.0)
    layer.set_name("renamed")
    preview.show(LIFTED, 1.0)
    preview.close()
    assert layer.get_name() == "renamed"
    assert image.is_dirty()
    preview.show(DARKER, 1.0)
    image.remove_layer(layer)
    preview.show(LIFTED, 1.0)
    preview.close()
    image, layer = kit.scene()
    preview = CanvasPreview(layer, WHOLE)
    preview.show(DARKER, 1.0)
    image.delete()
    preview.show(LIFTED, 1.0)
    preview.close()
