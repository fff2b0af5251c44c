"""Cases about the layers that count as the scene."""

import gimp_kit as kit
from gimp_kit import SIZE, Gimp

GREEN, RED = Gimp.ColorTag.GREEN, Gimp.ColorTag.RED


def after_each(t):
    kit.delete_all()


def cluttered():
    """A yellow wall over the scene, which does not count, and the object; (image, scene, wall, object)."""
    image, layer = kit.scene()
    wall = kit.paint(image, "wall", bytes((250, 230, 40, 255)) * (SIZE[0] * SIZE[1]), (0, 0, *SIZE))
    image.reorder_item(wall, None, 1)
    return image, kit.layer(image, "scene"), wall, layer


def result_of(image, layer, **arguments):
    group = kit.harmonize(image, layer, **arguments)
    pixels = kit.get(kit.result(group))
    kit.ungroup(image, group)
    return pixels


def case_only_the_labelled_layers(t):
    """The result is that over the labelled layers alone; the image keeps what it shows."""
    image, layer = kit.scene()
    wanted = result_of(image, layer)
    image, scene, wall, layer = cluttered()
    assert result_of(image, layer) != wanted, "the wall counts unless it is told apart"
    scene.set_color_tag(GREEN)
    wall.set_color_tag(RED)
    before = kit.state(image)
    assert result_of(image, layer, scene="green") == wanted
    kit.same(kit.state(image), before)
    assert result_of(image, layer, scene="red") != wanted


def case_in_groups(t):
    """A labelled group counts whole; of a group without the label, only the labelled layers count."""
    image, layer = kit.scene()
    wanted = result_of(image, layer)
    for tag_group in (True, False):
        image, scene, wall, layer = cluttered()
        group = Gimp.GroupLayer.new(image, "group")
        assert image.insert_layer(group, None, 2)
        assert image.reorder_item(scene, group, 0)
        if not tag_group:
            assert image.reorder_item(wall, group, 0)
        (group if tag_group else scene).set_color_tag(GREEN)
        assert result_of(image, layer, scene="green") == wanted
        kit.delete_all()


def case_the_object_in_a_group(t):
    image, layer = kit.scene()
    wanted = result_of(image, layer)
    image, scene, wall, layer = cluttered()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    assert image.reorder_item(wall, group, 0)
    assert image.reorder_item(layer, group, 0)
    scene.set_color_tag(GREEN)
    assert result_of(image, layer, scene="green") == wanted


def case_filters_too(t):
    image, layer = kit.scene()
    kit.call(image, [layer], editable=True)
    wanted = [one.get_config().get_property("rr-gain") for one in layer.get_filters()]
    image, scene, _, layer = cluttered()
    scene.set_color_tag(GREEN)
    kit.call(image, [layer], editable=True, scene="green")
    assert [one.get_config().get_property("rr-gain") for one in layer.get_filters()] == wanted


def case_no_such_layer(t):
    image, scene, _, layer = cluttered()
    words = "No layer that is seen below “pasted” has the colour label Blue."
    kit.refused(image, [layer], words, scene="blue")
    layer.set_color_tag(Gimp.ColorTag.BLUE)
    kit.refused(image, [layer], words, scene="blue")
    scene.set_color_tag(Gimp.ColorTag.BLUE)
    scene.set_visible(False)
    kit.refused(image, [layer], words, scene="blue")
