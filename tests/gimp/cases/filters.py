"""Cases about the result as a filter of the layer."""

import os
import random
import sys

import gimp_kit as kit
from gimp_kit import OBJECT, SIZE, Gimp

OPERATIONS = {"gegl:channel-mixer", "gegl:svg-matrix"}


def after_each(t):
    kit.delete_all()


def filtered(image, chosen, **arguments):
    """Harmonize with a filter, and return it."""
    status, layer, said = kit.call(image, [chosen], editable=True, **arguments)
    assert status == kit.SUCCESS, said
    (one, *_) = layer.get_filters()
    assert one.get_operation_name() in OPERATIONS
    assert one.get_name() == "GLIHamba"
    return one


def change_of(image, before, rect=OBJECT):
    """The change in levels of each sample of the object."""
    after = kit.seen(image)
    kit.unchanged_outside(before, after, rect, SIZE[0])
    parts = (kit.pictures.cut(raw, rect, SIZE[0]) for raw in (before, after))
    return [b - a for a, b in zip(*parts, strict=True)]


def rms(values):
    return (sum(value * value for value in values) / len(values)) ** 0.5


def apart(a, b):
    return rms([x - y for x, y in zip(a, b, strict=True)])


def case_near_the_exact_pixels(t):
    for soft in (0, 4):
        image, layer = kit.scene(soft=soft)
        before = kit.seen(image)
        exact = kit.harmonize(image, layer)
        wanted = change_of(image, before)
        kit.ungroup(image, exact)
        own = kit.get(layer)
        filtered(image, layer)
        found = change_of(image, before)
        assert rms(wanted) > 4
        t.fact("levels", (rms(wanted), apart(found, wanted)))
        assert apart(found, wanted) < min(3, rms(wanted) / 3)
        assert kit.get(layer) == own, "the layer keeps its pixels"
        assert [one.get_name() for one in kit.all_layers(image)] == ["pasted", "scene"]
        assert [one.get_id() for one in image.get_selected_layers()] == [layer.get_id()]
        kit.delete_all()


def case_strength_is_its_opacity(t):
    image, layer = kit.scene(soft=0)
    before = kit.seen(image)
    one = filtered(image, layer, strength=0.5)
    half = change_of(image, before)
    assert abs(one.get_opacity() - 0.5) < 0.01
    one.set_opacity(1.0)
    one.update()
    whole = change_of(image, before)
    assert rms(whole) > 4
    assert abs(rms(half) / rms(whole) - 0.5) < 0.1
    one.delete()
    more = filtered(image, layer, strength=1.5)
    assert more.get_opacity() == 1
    assert 1.3 < rms(change_of(image, before)) / rms(whole) < 1.7


def case_amounts(t):
    """Twice the light changes the lightness twice as much; with nothing of any part, nothing changes."""
    image, layer = kit.scene(soft=0)
    before = kit.seen(image)
    lumas = []
    for light in (0.0, 1.0, 2.0):
        one = filtered(image, layer, light=light)
        change = change_of(image, before)
        parts = [sum(change[at::4]) / (len(change) / 4) for at in range(3)]
        lumas.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
        one.delete()
    assert abs(lumas[1] - lumas[0]) > 1, lumas
    assert abs((lumas[2] - lumas[0]) / (lumas[1] - lumas[0]) - 2) < 0.3, lumas
    nothing = dict.fromkeys(("light", "warmth", "contrast", "saturation", "local"), 0.0)
    kit.delete_all()
    image, layer = kit.scene(soft=0)
    filtered(image, layer, **nothing)
    assert rms(change_of(image, before)) < 0.3


def case_amounts_of_exact_pixels(t):
    image, layer = kit.scene(soft=0)
    before = kit.seen(image)
    nothing = dict.fromkeys(("light", "warmth", "contrast", "saturation", "local"), 0.0)
    kit.harmonize(image, layer, **nothing)
    assert max(map(abs, change_of(image, before))) <= 1


def case_moved_and_painted(t):
    """The filter moves with the layer and filters what is painted later."""
    image, layer = kit.scene(soft=0)
    filtered(image, layer)
    corrected = kit.pictures.cut(kit.seen(image), OBJECT, SIZE[0])
    layer.set_offsets(2, 3)
    assert kit.pictures.cut(kit.seen(image), (2, 3, *OBJECT[2:]), SIZE[0]) == corrected
    before = kit.seen(image)
    kit.put(layer, bytes((200, 60, 60, 255)) * 16, (4, 4, 4, 4))
    after = kit.seen(image)
    assert kit.pictures.cut(after, (6, 7, 4, 4), SIZE[0]) != bytes((200, 60, 60, 255)) * 16
    kit.unchanged_outside(before, after, (6, 7, 4, 4), SIZE[0])


def case_partly_off_the_canvas(t):
    image, layer = kit.scene(soft=0, rect=(-10, 50, 40, 30))
    filtered(image, layer)
    layer.set_offsets(20, 20)
    old, new = kit.get(layer), kit.pictures.cut(kit.seen(image), (20, 20, 40, 30), SIZE[0])
    assert all(old[at : at + 3] != new[at : at + 3] for at in range(0, len(old), 4))


def case_selection(t):
    image, layer = kit.scene(soft=0)
    before = kit.seen(image)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 10, 10)
    one = filtered(image, layer)
    assert rms(change_of(image, before, (36, 24, 10, 10))) > 4
    Gimp.Selection.none(image)
    one.update()
    assert rms(change_of(image, before, (36, 24, 10, 10))) > 4, "it keeps to what was selected"


def case_kept_in_a_file(t):
    image, layer = kit.scene()
    filtered(image, layer)
    wanted = kit.seen(image)
    file = kit.Gio.File.new_for_path(t.path("filter.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    assert kit.seen(loaded) == wanted
    filtered(loaded, kit.layer(loaded, "pasted"))
    assert kit.seen(loaded) == wanted, "a second run replaces the filter"
    assert len(kit.layer(loaded, "pasted").get_filters()) == 1


def case_again(t):
    """Filter after pixels, pixels after filter: each replaces the other, and other filters stay."""
    image, layer = kit.scene(soft=0)
    blur = Gimp.DrawableFilter.new(layer, "gegl:gaussian-blur", "")
    layer.append_filter(blur)
    filtered(image, layer)
    with_filter = kit.seen(image)
    group = kit.harmonize(image, layer)
    assert [one.get_operation_name() for one in layer.get_filters()] == ["gegl:gaussian-blur"]
    exact = kit.seen(image)
    filtered(image, kit.result(group))
    assert len(layer.get_filters()) == 2
    assert kit.seen(image) == with_filter
    assert [one.get_name() for one in group.get_children()] == ["pasted"]
    kit.harmonize(image, layer)
    assert kit.seen(image) == exact


def case_group_and_text(t):
    image, _ = kit.scene()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    kit.paint(image, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    before = kit.seen(image)
    filtered(image, group)
    assert rms(change_of(image, before, (10, 10, 16, 12))) > 4
    text = Gimp.TextLayer.new(image, "Hamba", Gimp.context_get_font(), 24, Gimp.Unit.pixel())
    assert image.insert_layer(text, None, 0)
    text.set_offsets(8, 36)
    filtered(image, text)
    assert text.is_text_layer()


def case_group_passed_through(t):
    image, _ = kit.scene()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    kit.paint(image, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    group.set_mode(Gimp.LayerMode.PASS_THROUGH)
    kit.refused(image, [group], "“group” is a group that is passed through", editable=True)


def case_several(t):
    image, lower = kit.scene(rect=(10, 10, 32, 24))
    upper = kit.paint(image, "upper", kit.object_bytes(32, 24), (30, 20, 32, 24))
    for layer in (lower, upper):
        filtered(image, layer)
    wanted = kit.seen(image)
    for layer in (lower, upper):
        for one in layer.get_filters():
            one.delete()
    status, _, said = kit.call(image, [upper, lower], editable=True)
    assert status == kit.SUCCESS, said
    assert kit.seen(image) == wanted


def case_other_colour_spaces(t):
    """In linear and deep images, and in gray ones, the filter does the same to what is seen."""
    image, layer = kit.scene(soft=0)
    filtered(image, layer)
    wanted = kit.seen(image, "R'G'B'A u8")
    for precision in ("U8_LINEAR", "U16_NON_LINEAR", "FLOAT_LINEAR"):
        image, layer = kit.scene(soft=0, precision=getattr(Gimp.Precision, precision))
        filtered(image, layer)
        assert apart(kit.seen(image, "R'G'B'A u8"), wanted) < 1.5, precision
    image, layer = kit.scene(soft=0, base=kit.GRAY)
    before = kit.seen(image)
    filtered(image, layer)
    assert kit.seen(image) != before


def case_the_error_is_said(t):
    """A correction bends colours, which no matrix does: said if the object has colours of all kinds.

    The host runs in this process, so that its messages can be read.
    """
    image, layer = kit.scene(soft=0)
    vendor = os.environ["TEST_VENDOR"]
    sys.path += [vendor, os.path.dirname(os.path.dirname(vendor))]
    from glihamba_gimp import host

    from glihamba_client.harmonize_layer import run
    from glihamba_client.host import Choice
    from glihamba_client.service import DaemonService

    said: list[str] = []

    class Watched(host.GimpHost):
        def message(self, text, failed=False):
            said.append(text)

    chance = random.Random(2)
    colours = (chance.randbytes(3) + b"\xff" for _ in range(OBJECT[2] * OBJECT[3]))
    for pixels in (kit.get(layer), b"".join(colours)):
        assert not said
        kit.put(layer, pixels)
        run(Watched(image, [layer], "en").add_filters(DaemonService(), Choice("tiny", 1.5)))
    (sentence,) = said
    assert sentence.startswith("“pasted”: the filter is "), sentence
    assert " of 255 levels off the correction" in sentence
