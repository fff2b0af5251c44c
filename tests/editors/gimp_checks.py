"""What must be true of every result, for the cases in `layers.py`."""

import gimp_kit as kit
from gimp_kit import OBJECT, SIZE, Gimp


def without_pixels_of_groups(image, layers):
    """The state of the layers without the pixels of groups, which change with the layers in them."""
    groups = {one.get_id() for one in kit.all_layers(image) if one.is_group()}
    return [{**one, "pixels": b""} if one["id"] in groups else one for one in layers]


def run(t, image, layer, rect=OBJECT, **arguments):
    """Harmonize the layer and check what must be true of every result; returns the group of the two."""
    before, old, picture = kit.state(image), kit.describe(layer), kit.seen(image)
    group = kit.harmonize(image, layer, **arguments)
    result = kit.result(group)
    new, now = kit.describe(group), kit.state(image)
    assert new["name"] == old["name"] + " (harmonized)", new["name"]
    assert new["parent"] == old["parent"]
    assert [one.get_id() for one in group.get_children()] == [result.get_id(), old["id"]]
    for what in ("opacity", "mode"):
        assert new[what] == old[what], (what, new[what], old[what])
    assert new["visible"]
    assert now["chosen"] == [new["id"]]
    for what in ("selection", "size", "images"):
        assert now[what] == before[what], what
    others = [one for one in now["layers"] if one["id"] not in (new["id"], result.get_id())]
    (changed,) = (one for one in others if one["id"] == old["id"])
    assert changed["opacity"] == 100
    changed |= {what: old[what] for what in ("parent", "opacity", "mode")}  # all else of it is as before
    kit.same(*(without_pixels_of_groups(image, layers) for layers in (others, before["layers"])))
    after = kit.seen(image)
    result.set_visible(False)
    assert kit.seen(image) == picture, "the group alone changes nothing"
    result.set_visible(True)
    width, height = before["size"]
    assert after != picture, "nothing has changed"
    kit.unchanged_outside(picture, after, rect, width, len(after) // (width * height))
    keep(t, image, before=picture, after=after)
    return group


def keep(t, image, **pictures):
    t.fact("size", (image.get_width(), image.get_height()))
    for name, raw in pictures.items():
        kit.write(t.path(f"{t.case}.{name}"), raw)


def opaque_scene(t, feather=3):
    """An opaque object, part of it selected with a soft edge; keeps the mask that the daemon should get."""
    image, layer = kit.scene(soft=0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 18, 14)
    Gimp.Selection.feather(image, feather)
    keep(t, image, mask=bytes(map(min, coverage(image), shape(image, layer))))
    return image, layer


def coverage(image):
    return kit.get(image.get_selection(), form="Y u8")


def shape(image, layer):
    """The layer's alpha on the canvas."""
    _, left, top = layer.get_offsets()
    return kit.get(layer, (-left, -top, image.get_width(), image.get_height()), "R'G'B'A u8")[3::4]


def chosen_in(layer, chosen):
    _, left, top = layer.get_offsets()
    return kit.pictures.cut(chosen, (left, top, layer.get_width(), layer.get_height()), SIZE[0], 1)
