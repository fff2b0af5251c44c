"""Cases about several layers at once."""

import os
import sys

import gimp_kit as kit
from gimp_kit import Gimp
from held import HOLD, hold, let_go


def after_each(t):
    let_go()
    kit.delete_all()


def two(rects=((10, 10, 32, 24), (30, 20, 32, 24))):
    """A scene and two objects that overlap; (image, lower, upper)."""
    image, lower = kit.scene(rect=rects[0])
    lower.set_name("lower")
    upper = kit.paint(image, "upper", kit.object_bytes(*rects[1][2:]), rects[1])
    return image, lower, upper


def names(image):
    return [one.get_name() for one in kit.all_layers(image)]


RESULT = [
    "upper (harmonized)",
    "harmonized colours #1",
    "upper",
    "lower (harmonized)",
    "harmonized colours",
    "lower",
    "scene",
]


def case_each_with_the_others_as_they_will_be(t):
    """In any order of choice, the result is that of one after the other from the lowest up."""
    image, lower, upper = two()
    alone = kit.harmonize(image, upper)
    without = kit.get(kit.result(alone))
    kit.ungroup(image, alone)
    for layer in (lower, upper):
        kit.harmonize(image, layer)
    wanted = kit.seen(image)
    assert kit.get(kit.result(upper.get_parent())) != without, "the lower one counts"
    for order in ((0, 1), (1, 0)):
        image, lower, upper = two()
        chosen = [(lower, upper)[index] for index in order]
        status, added, said = kit.call(image, chosen)
        assert status == kit.SUCCESS, said
        assert kit.seen(image) == wanted
        assert names(image) == RESULT, names(image)
        assert added.get_name() == "upper (harmonized)"
        assert {one.get_name() for one in image.get_selected_layers()} == {RESULT[0], RESULT[3]}


def case_a_group_and_a_layer_in_it(t):
    """The group alone is harmonized."""
    image, lower, upper = two()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    for layer in (lower, upper):
        assert image.reorder_item(layer, group, 0)
    status, added, said = kit.call(image, [upper, group])
    assert status == kit.SUCCESS, said
    assert [one.get_name() for one in added.get_children()] == ["harmonized colours", "group"]
    assert len(group.get_children()) == 2


def case_all_layers(t):
    """Among the chosen layers is the scene, which has nothing below it: nothing changes."""
    image, lower, upper = two()
    scene = kit.layer(image, "scene")
    kit.refused(image, [upper, lower, scene], "scene: The mask covers the whole picture")


def case_one_is_moved_meanwhile(t):
    """No result is added, not even that of the other layer."""
    image, lower, upper = two()
    before = kit.seen(image)
    hold()
    kit.meanwhile(
        "import os\nimage = Gimp.get_images()[0]\n"
        f"image.get_layers()[1].set_offsets(1, 1)\nos.remove({HOLD!r})"
    )
    status, _, said = kit.call(image, [lower, upper])
    kit.happened()
    assert status == kit.FAILED
    assert said.startswith("“lower” was moved or resized meanwhile."), said
    assert names(image) == ["upper", "lower", "scene"]
    lower.set_offsets(10, 10)
    assert kit.seen(image) == before


def case_one_progress(t):
    """The progress runs once from 0 to 1 over all layers, and names the layer."""
    vendor = os.environ["TEST_VENDOR"]
    sys.path += [vendor, os.path.dirname(os.path.dirname(vendor))]
    from glihamba_gimp.host import GimpHost

    from glihamba_client.harmonize_layer import run
    from glihamba_client.host import Choice
    from glihamba_client.service import DaemonService

    fractions, words = [], []

    class Watched(GimpHost):
        def show(self, said, fraction):
            words.append((self.turn, said))
            fractions.append((self.turn + fraction) / len(self.chosen))
            super().show(said, fraction)

    image, lower, upper = two()
    host = Watched(image, [lower, upper])
    run(host.add_pixels(DaemonService(), [Choice()]))
    assert [one.get_name() for one in host.added] == ["lower (harmonized)", "upper (harmonized)"]
    assert {turn for turn, _ in words} == {0, 1}
    assert fractions == sorted(fractions), fractions
    assert fractions[0] < 0.1
    assert fractions[-1] == 1
