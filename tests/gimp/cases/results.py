"""Cases about the group of a layer and its result: its opacity, and a second run."""

import array

import gimp_kit as kit
from gimp_kit import Gimp


def after_each(t):
    kit.delete_all()


def case_half_the_result_is_half_the_strength(t):
    """At the result's opacity of 50 % the colour is the mean of before and after, and not the scene's."""
    for soft, opacity_of_layer in ((0, 100), (4, 40)):
        image, layer = kit.scene(soft=soft, precision=Gimp.Precision.FLOAT_NON_LINEAR)
        layer.set_opacity(opacity_of_layer)
        group = kit.harmonize(image, layer)
        colours = []
        for opacity in (0, 50, 100):
            kit.result(group).set_opacity(opacity)
            colours.append(array.array("f", kit.get(group)))
        assert max(abs(a - c) for a, c in zip(colours[0], colours[2], strict=True)) > 4 / 255
        middle = [(a + c) / 2 for a, c in zip(colours[0], colours[2], strict=True)]
        assert max(abs(a - b) for a, b in zip(middle, colours[1], strict=True)) < 1e-4
        kit.delete_all()


def case_at_full_opacity_the_colours_are_the_daemon_s(t):
    """A soft object in the group looks, bit by bit, as if its own pixels were the harmonized ones."""
    image, layer = kit.scene()
    group = kit.harmonize(image, layer)
    harmonized, pixels = kit.get(kit.result(group)), bytearray(kit.get(layer))
    for channel in range(3):
        pixels[channel::4] = harmonized[channel::3]
    found = kit.seen(image)
    kit.ungroup(image, group)
    kit.put(layer, bytes(pixels))
    assert kit.seen(image) == found


def case_strength_is_the_opacity(t):
    image, layer = kit.scene()
    group = kit.harmonize(image, layer, strength=0.25)
    assert abs(kit.result(group).get_opacity() - 25) < 0.1
    kit.result(group).set_opacity(100)
    whole = kit.seen(image)
    kit.ungroup(image, group)
    kit.harmonize(image, layer)
    assert kit.seen(image) == whole


def case_more_than_the_full_strength(t):
    image, layer = kit.scene(soft=0)
    old = kit.get(layer)
    changes = []
    for strength in (1.0, 1.5):
        group = kit.harmonize(image, layer, strength=strength)
        assert kit.result(group).get_opacity() == 100
        new = kit.get(group)
        changes.append(sum(abs(a - b) for a, b in zip(old, new, strict=True)))
        kit.ungroup(image, group)
    assert 1.3 < changes[1] / changes[0] < 1.6, changes


def case_again(t):
    """A second run of the layer, of its result or of their group replaces the result; names do not grow."""
    image, layer = kit.scene()
    first = kit.harmonize(image, layer, model="statistics")
    other = kit.seen(image)
    kit.harmonize(image, layer)
    wanted = kit.seen(image)
    assert wanted != other
    for choose in (lambda: layer, lambda: first, lambda: kit.result(first)):
        kit.result(first).set_opacity(30)
        group = kit.harmonize(image, choose())
        assert group.get_id() == first.get_id()
        assert kit.seen(image) == wanted
        names = [one.get_name() for one in kit.all_layers(image)]
        assert names == ["pasted (harmonized)", "harmonized colours", "pasted", "scene"], names


def case_again_in_a_file_that_was_saved(t):
    image, layer = kit.scene()
    kit.harmonize(image, layer)
    wanted = kit.seen(image)
    file = kit.Gio.File.new_for_path(t.path("again.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    assert kit.seen(loaded) == wanted
    kit.harmonize(loaded, kit.layer(loaded, "pasted (harmonized)"))
    assert kit.seen(loaded) == wanted
    assert len(kit.all_layers(loaded)) == 4


def case_again_with_more_in_the_group(t):
    """A group to which the person has added something is harmonized as it is; its name does not grow."""
    image, layer = kit.scene()
    group = kit.harmonize(image, layer)
    kit.paint(image, "shine", bytes((255, 255, 255, 90)) * 64, (36, 24, 8, 8), parent=group)
    around = kit.harmonize(image, group)
    again = kit.harmonize(image, around)
    names = [one.get_name() for one in (group, around, again)]
    assert names == ["pasted (harmonized)", *["pasted (harmonized) #1"] * 2], names
    assert len(group.get_children()) == 3
    assert [one.get_id() for one in around.get_children()][1] == group.get_id()


def case_all_of_them(t):
    """Every proposal is in the group: the first one shown, the others hidden. A second run replaces them."""
    image, layer = kit.scene(soft=0)
    one = kit.harmonize(image, layer)
    wanted, pixels = kit.seen(image), kit.get(kit.result(one))
    group = kit.harmonize(image, layer, all=True)
    *results, original = group.get_children()
    assert original.get_id() == layer.get_id()
    assert [each.get_visible() for each in results] == [True, False, False]
    assert kit.seen(image) == wanted
    found = [kit.get(each) for each in results]
    assert found[0] == pixels
    assert len(set(found)) == 3, "each is another correction"
    again = kit.harmonize(image, layer, all=True)
    assert len(again.get_children()) == 4
    kit.harmonize(image, layer)
    assert len(again.get_children()) == 2
    assert image.get_selected_layers()[0].get_id() == again.get_id()
