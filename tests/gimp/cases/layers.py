"""Cases about layers: which one is read, what is added, what stays."""

import itertools

import gimp_kit as kit
from gimp_checks import chosen_in, coverage, keep, opaque_scene, run, shape
from gimp_kit import OBJECT, SIZE, Gegl, Gimp


def after_each(t):
    kit.delete_all()


def case_soft_object_without_selection(t):
    image, layer = kit.scene()
    result = run(t, image, layer)
    assert kit.get(result)[3::4] == kit.get(layer)[3::4], "the alpha stays"
    keep(t, image, mask=shape(image, layer))


def case_soft_selection(t):
    """Only the selected part of an opaque layer changes, at a soft edge in proportion to the coverage."""
    image, layer = opaque_scene(t)
    chosen = coverage(image)
    assert sum(0 < value < 255 for value in chosen) > 100
    result = run(t, image, layer)
    old, new = kit.get(layer), kit.get(result)
    outside = [at for at, value in enumerate(chosen_in(layer, chosen)) if not value]
    assert len(outside) > 100
    assert all(old[4 * at : 4 * at + 4] == new[4 * at : 4 * at + 4] for at in outside)


def case_hard_selection(t):
    image, layer = kit.scene(soft=0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 100, 10)
    keep(t, image, mask=bytes(map(min, coverage(image), shape(image, layer))))
    run(t, image, layer, (36, 24, 26, 10))


def case_larger_than_a_strip(t):
    """Pixels that are mixed in several strips show no seam, and nothing else changes."""
    rect = (60, 0, 1100, 1000)
    image, layer = kit.large(1200, 1000, rect)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, *rect)
    Gimp.Selection.feather(image, 10)
    run(t, image, layer, rect)


def case_strength(t):
    image, layer = opaque_scene(t)
    run(t, image, layer, strength=0.5)


def case_strength_zero_changes_nothing(t):
    image, layer = opaque_scene(t)
    result = kit.harmonize(image, layer, strength=0.0)
    assert kit.get(result) == kit.get(layer)


def case_selection_outside_the_layer(t):
    image, layer = kit.scene()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 2, 2, 10, 10)
    kit.refused(image, [layer], "The selection lies outside of what “pasted” shows.")


def case_empty_layer(t):
    image, _ = kit.scene()
    layer = kit.paint(image, "nothing", bytes(4 * 20 * 20), (5, 5, 20, 20))
    kit.refused(image, [layer], "“nothing” is empty inside the canvas.")


def case_off_the_canvas(t):
    image, layer = kit.scene(rect=(200, 10, 20, 20))
    kit.refused(image, [layer], "“pasted” is empty inside the canvas.")


def case_negative_offsets(t):
    """The part of the layer that lies off the canvas is harmonized, too, and shows no seam when moved in."""
    rect = (-10, 50, 40, 30)
    image, layer = kit.scene(rect=rect)
    keep(t, image, mask=shape(image, layer))
    group = run(t, image, layer, (0, 50, 30, 14))
    for off in ((2, 2, 8, 26), (12, 14, 26, 14)):
        old, new = (kit.pictures.cut(kit.get(one), off, 40) for one in (layer, group))
        assert all(a != b for a, b in zip(pixels_of(old), pixels_of(new), strict=True))
    group.set_offsets(30, 20)
    image.set_selected_layers([group])
    moved = kit.get(group)
    row = [moved[4 * (40 * 15 + x)] - kit.get(layer)[4 * (40 * 15 + x)] for x in range(6, 36)]
    assert max(abs(a - b) for a, b in itertools.pairwise(row)) <= 2, row


def pixels_of(raw):
    return [raw[at : at + 3] for at in range(0, len(raw), 4)]


def case_nested_with_layers_above(t):
    """The layers above are neither read nor changed."""
    image, layer = kit.scene()
    outer, inner = (Gimp.GroupLayer.new(image, name) for name in ("outer", "inner"))
    assert image.insert_layer(outer, None, 0)
    assert image.insert_layer(inner, outer, 0)
    assert image.reorder_item(layer, inner, 0)
    alone = kit.harmonize(image, layer)
    wanted = kit.get(alone)
    kit.ungroup(image, alone)
    for name, parent in (("beside", inner), ("over", None)):
        kit.paint(image, name, bytes((255, 0, 255, 255)) * (SIZE[0] * SIZE[1]), (0, 0, *SIZE), parent=parent)
    before = kit.state(image)
    result = kit.harmonize(image, layer)
    assert kit.get(result) == wanted
    assert result.get_parent().get_id() == inner.get_id()
    names = [one["name"] for one in kit.state(image)["layers"]]
    group = ["pasted (harmonized)", "harmonized colours", "pasted"]
    assert names == ["over", "outer", "inner", "beside", *group, "scene"], names
    assert all(one["visible"] for one in before["layers"])
    assert all(one.get_visible() for one in kit.all_layers(image))


def case_hidden(t):
    """A hidden layer in a hidden group is harmonized as if it were shown, and then it is shown."""
    image, layer = kit.scene()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    assert image.reorder_item(layer, group, 0)
    shown = kit.harmonize(image, layer)
    wanted = kit.seen(image)
    kit.ungroup(image, shown)
    for item in (layer, group):
        item.set_visible(False)
        item.set_lock_visibility(True)
    kit.harmonize(image, layer)
    assert all(one.get_visible() for one in kit.all_layers(image))
    assert layer.get_lock_visibility()
    assert kit.seen(image) == wanted


def case_locked(t):
    """Locked pixels, position and visibility, also of the group, do not stop the result."""
    image, layer = kit.scene()
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    assert image.reorder_item(layer, group, 0)
    for item in (layer, group):
        item.set_lock_content(True)
        item.set_lock_position(True)
        item.set_lock_visibility(True)
    run(t, image, layer)
    assert layer.get_lock_content()


def case_layer_mask(t):
    """The mask stays with the layer. Only what it shows is the object, and only that changes."""
    image, layer = kit.scene(soft=0)
    mask = layer.create_mask(Gimp.AddMaskType.BLACK)
    layer.add_mask(mask)
    kit.put(mask, bytes([255]) * 8 * 24, (0, 0, 8, 24), "Y u8")
    kit.put(mask, bytes([100]) * 8 * 24, (8, 0, 8, 24), "Y u8")
    layer.set_edit_mask(False)
    group = run(t, image, layer, (30, 20, 16, 24))
    assert layer.get_mask().get_id() == mask.get_id()
    assert group.get_mask() is None
    assert kit.result(group).get_mask() is None


def case_mask_that_is_not_applied(t):
    image, layer = kit.scene(soft=0)
    mask = layer.create_mask(Gimp.AddMaskType.BLACK)
    layer.add_mask(mask)
    layer.set_apply_mask(False)
    run(t, image, layer)
    assert not layer.get_apply_mask()


def case_mask_being_edited(t):
    """GIMP passes the active mask, and its layer is harmonized."""
    image, layer = kit.scene(soft=0)
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(mask)
    status, added, said = kit.call(image, [mask])
    assert status == kit.SUCCESS, said
    assert added.get_name() == "pasted (harmonized)"


def case_filters(t):
    """Filters are applied to the result and kept on the layer."""
    image, layer = kit.scene(soft=0)
    filtered(layer, "gegl:gaussian-blur", **{"std-dev-x": 2.0, "std-dev-y": 2.0})
    filtered(layer, "gegl:invert-gamma")
    with_filters = kit.seen(image)
    group = run(t, image, layer)
    assert not kit.result(group).get_filters()
    assert [f.get_operation_name() for f in layer.get_filters()] == [
        "gegl:invert-gamma",
        "gegl:gaussian-blur",
    ]
    kit.ungroup(image, group)
    assert kit.seen(image) == with_filters
    assert kit.seen(image) != kit.seen(kit.scene(soft=0)[0])


def filtered(drawable, operation, **options):
    made = Gimp.DrawableFilter.new(drawable, operation, "")
    config = made.get_config()
    for name, value in options.items():
        config.set_property(name, value)
    made.update()
    drawable.append_filter(made)


def case_filters_and_a_selection(t):
    """The filters work on the whole layer, whatever is selected."""
    image, layer = kit.scene(soft=0)
    filtered(layer, "gegl:gaussian-blur", **{"std-dev-x": 2.0, "std-dev-y": 2.0})
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 12, 10)
    Gimp.Selection.feather(image, 3)
    run(t, image, layer, (30, 20, 28, 24))


def case_filter_that_grows_the_layer(t):
    image, layer = kit.scene(soft=0)
    filtered(layer, "gegl:dropshadow", x=4.0, y=4.0, radius=3.0)
    before = kit.seen(image)
    result = kit.result(kit.harmonize(image, layer))
    assert (result.get_width(), result.get_height()) > (layer.get_width(), layer.get_height())
    after = kit.seen(image)
    kit.unchanged_outside(before, after, (20, 12, 60, 50), SIZE[0], 4)
    assert after != before


def case_opacity_and_another_mode(t):
    image, layer = kit.scene()
    layer.set_opacity(60)
    layer.set_mode(Gimp.LayerMode.MULTIPLY)
    group = run(t, image, layer)
    assert abs(group.get_opacity() - 60) < 0.5
    assert layer.get_mode() == Gimp.LayerMode.NORMAL, "in the group there is nothing to multiply with"
    kit.ungroup(image, group)


def case_group(t):
    image, _ = kit.scene()
    group = two_in_a_group(image)
    run(t, image, group, (10, 10, 26, 16))
    assert group.is_group()


def two_in_a_group(image):
    group = Gimp.GroupLayer.new(image, "group")
    assert image.insert_layer(group, None, 0)
    kit.paint(image, "in it", kit.object_bytes(16, 12), (10, 10, 16, 12), parent=group)
    kit.paint(image, "and", kit.object_bytes(16, 12), (20, 14, 16, 12), parent=group)
    return group


def case_group_and_a_selection(t):
    image, _ = kit.scene()
    group = two_in_a_group(image)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 14, 12, 12, 10)
    run(t, image, group, (14, 12, 12, 10))


def case_group_passed_through(t):
    image, _ = kit.scene()
    group = two_in_a_group(image)
    group.set_mode(Gimp.LayerMode.PASS_THROUGH)
    group.set_opacity(70)
    before = kit.seen(image)
    around = kit.harmonize(image, group)
    assert around.get_mode() == Gimp.LayerMode.NORMAL
    assert (around.get_width(), around.get_height()) == (26, 16)
    kit.unchanged_outside(before, kit.seen(image), (10, 10, 26, 16), SIZE[0], 4)
    kit.result(around).set_visible(False)
    assert abs(around.get_opacity() - 70) < 0.5
    apart = [abs(a - b) for a, b in zip(kit.seen(image), before, strict=True)]
    assert max(apart) <= 1, "a group that is not passed through is rounded once more"


def case_text_layer(t):
    """The result is a layer of pixels above the text, which can still be edited."""
    image, _ = kit.scene()
    text = Gimp.TextLayer.new(image, "Hamba", Gimp.context_get_font(), 24, Gimp.Unit.pixel())
    assert image.insert_layer(text, None, 0)
    text.set_offsets(8, 6)
    color = Gegl.Color.new("orange")
    text.set_color(color)
    run(t, image, text, (8, 6, text.get_width(), text.get_height()))
    assert text.is_text_layer()
    assert text.get_text() == "Hamba"


def case_link_layer(t):
    if not hasattr(Gimp, "LinkLayer"):
        t.fact("skipped", "link layers came with GIMP 3.2")
        return
    image, _ = kit.scene()
    kit.write_png(t.path("linked.png"), kit.pictures.object_bytes(20, 16, 0), 20, 16)
    link = Gimp.LinkLayer.new(image, kit.Gio.File.new_for_path(t.path("linked.png")))
    assert image.insert_layer(link, None, 0)
    link.set_offsets(8, 6)
    run(t, image, link, (8, 6, 20, 16))
    assert not link.is_rasterized()


def case_vector_layer(t):
    if not hasattr(Gimp, "VectorLayer"):
        t.fact("skipped", "vector layers came with GIMP 3.2")
        return
    image, _ = kit.scene()
    shape = Gimp.Path.new(image, "shape")
    shape.bezier_stroke_new_ellipse(40, 30, 16, 12, 0)
    assert image.insert_path(shape, None, 0)
    vector = Gimp.VectorLayer.new(image, shape)
    assert image.insert_layer(vector, None, 0)
    vector.set_enable_fill(True)
    vector.set_fill_color(Gegl.Color.new("orange"))
    vector.refresh()
    run(t, image, vector, (20, 12, 40, 36))
    assert not vector.is_rasterized()


def case_layer_without_alpha(t):
    image, _ = kit.scene()
    layer = kit.paint(image, "plain", kit.object_bytes(20, 16, 0), (8, 8, 20, 16), alpha=False)
    run(t, image, layer, (8, 8, 20, 16))
    assert not layer.has_alpha()


def case_whole_picture(t):
    """With a single opaque layer there is no scene."""
    image = kit.new()
    layer = kit.paint(image, "all", kit.scene_bytes(*SIZE), (0, 0, *SIZE), alpha=False)
    kit.refused(image, [layer], "The mask covers the whole picture")


def case_part_of_a_single_layer(t):
    image = kit.new()
    layer = kit.paint(image, "all", kit.scene_bytes(*SIZE), (0, 0, *SIZE), alpha=False)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, *OBJECT)
    run(t, image, layer)


def case_one_pixel(t):
    image = kit.new((1, 1))
    layer = kit.paint(image, "all", bytes((9, 99, 200, 255)), (0, 0, 1, 1))
    kit.refused(image, [layer], "The mask covers the whole picture")


def case_tiny_image(t):
    image, layer = kit.scene(size=(3, 2), rect=(1, 0, 1, 1), soft=0)
    run(t, image, layer, (1, 0, 1, 1))


def case_no_layer(t):
    image, _ = kit.scene()
    kit.refused(image, [], "No layer is chosen.")


def case_channel(t):
    image, _ = kit.scene()
    channel = Gimp.Selection.save(image)
    kit.refused(image, [channel], "is not a layer. Choose the layer that holds the object.")


def case_floating_selection(t):
    image, layer = kit.scene()
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 10, 10)
    floating = Gimp.Selection.float(image, [layer], 3, 3)
    kit.refused(image, [floating], "The floating selection has no place in the picture yet. Anchor it")


def case_indexed(t):
    image, layer = kit.scene()
    assert image.convert_indexed(
        Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, ""
    )
    kit.refused(image, [layer], "An indexed image holds too few colours to harmonize. Convert it first")


def case_unknown_model(t):
    image, layer = kit.scene()
    kit.refused(image, [layer], "nonsuch", model="nonsuch")


def case_saved(t):
    """Outside the selection the exported file does not change by one bit."""
    image, layer = opaque_scene(t)
    kit.export(image, t.case + ".before.png")
    kit.harmonize(image, layer)
    kit.export(image, t.case + ".after.png")
