"""Cases about colour: results of every precision and profile return in the image's own."""

import array

import gimp_kit as kit
from gimp_kit import SIZE, Gimp

DEPTHS = ("U8", "U16", "U32", "HALF", "FLOAT", "DOUBLE")
CURVES = ("LINEAR", "NON_LINEAR")
PERCEPTUAL = ("U8_PERCEPTUAL", "FLOAT_PERCEPTUAL")  # the other four are converted in the same ways
EXACT = "R'G'B'A float"


def after_each(t):
    kit.delete_all()


def wide():
    return Gimp.ColorProfile.new_rgb_adobe()


def whole(t, precision, profile=None):
    """Harmonize in that space. With another profile, strength 0 comes first, which must change nothing."""
    kind = getattr(Gimp.Precision, precision)
    image, layer = kit.scene(soft=0, precision=kind, profile=profile)
    assert image.get_precision() == kind
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 34, 24, 24, 14)
    Gimp.Selection.sharpen(image)
    before = kit.seen(image)
    pixel = len(before) // (SIZE[0] * SIZE[1])
    mask = kit.get(image.get_selection(), form="Y u8")
    assert set(mask) == {0, 255}

    if profile is not None:
        same = kit.harmonize(image, layer, strength=0.0)
        keep(t, "unchanged", image)
        outside_is_the_same(mask, before, kit.seen(image), pixel)
        kit.ungroup(image, same)

    keep(t, "before", image)
    own = kit.get(layer)
    result = kit.harmonize(image, layer)
    after = kit.seen(image)
    assert after != before
    outside_is_the_same(mask, before, after, pixel)
    assert kit.get(layer) == own
    keep(t, "after", image)
    kit.write(t.path(f"{t.case}.mask"), mask)
    kit.write(t.path(f"{t.case}.own.before"), before)
    kit.write(t.path(f"{t.case}.own.after"), after)
    if precision in ("U8_NON_LINEAR", "U16_NON_LINEAR"):
        kit.export(image, f"{t.case}.after.png")
        kit.result(result).set_visible(False)
        kit.export(image, f"{t.case}.before.png")


def outside_is_the_same(mask, before, after, pixel):
    for at, value in enumerate(mask):
        if not value:
            part = slice(pixel * at, pixel * at + pixel)
            assert before[part] == after[part], (at % SIZE[0], at // SIZE[0])


def keep(t, name, image):
    """The picture as sRGB floats."""
    kit.write(t.path(f"{t.case}.{name}"), kit.seen(image, EXACT))


for _precision in (*(f"{depth}_{curve}" for depth in DEPTHS for curve in CURVES), *PERCEPTUAL):
    for _profile in ("srgb", "adobe"):

        def _case(t, precision=_precision, profile=_profile):
            whole(t, precision, wide() if profile == "adobe" else None)

        globals()[f"case_{_precision}_{_profile}".lower()] = _case


def case_gray_8(t):
    gray(t, Gimp.Precision.U8_NON_LINEAR)


def case_gray_float(t):
    gray(t, Gimp.Precision.FLOAT_LINEAR)


def gray(t, precision):
    """A gray image stays gray and changes in brightness, if the object says something of its light."""
    image, layer = kit.scene(soft=0, base=kit.GRAY, precision=precision)
    shades = ((7 * at) % 150 + 90 for at in range(layer.get_width() * layer.get_height()))
    kit.put(layer, b"".join(bytes((shade, shade, shade, 255)) for shade in shades))
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 34, 24, 20, 14)
    Gimp.Selection.feather(image, 3)
    mask = kit.get(image.get_selection(), form="Y u8")
    before = kit.seen(image)
    result = kit.harmonize(image, layer)
    assert image.get_base_type() == kit.GRAY
    assert result.is_gray()
    after = kit.seen(image)
    if precision == Gimp.Precision.FLOAT_LINEAR:  # GIMP composites gray as RGB, whose sum may round
        floats = zip(*(array.array("f", raw) for raw in (before, after)), strict=True)
        assert all(mask[at // 2] or abs(a - b) < 1e-6 for at, (a, b) in enumerate(floats))
    else:
        outside_is_the_same(mask, before, after, len(before) // len(mask))
    assert after != before
    keep(t, "after", image)
    kit.result(result).set_visible(False)
    keep(t, "before", image)


def case_beyond_srgb(t):
    """A green outside sRGB's gamut is not clipped."""
    image = kit.new(precision=Gimp.Precision.U16_NON_LINEAR, profile=wide())
    kit.paint(image, "scene", bytes((90, 110, 130, 255)) * (SIZE[0] * SIZE[1]), (0, 0, *SIZE))
    layer = kit.paint(image, "pasted", bytes(4 * 4), (30, 20, 2, 2))
    green = array.array("H", (0, 65535, 0, 65535)).tobytes()
    own = kit.Babl.get_name(layer.get_format())
    kit.put(layer, green * 4, form=own)
    group = kit.harmonize(image, layer)
    new = array.array("H", kit.get(group))
    t.fact("green", list(new[:4]))
    assert new[0] < 15000, "the nearest green in sRGB has a red of 37,000 in this space"


def case_beyond_white(t):
    """Values above 1 stay above 1 in a float image."""
    image = kit.new(precision=Gimp.Precision.FLOAT_LINEAR)
    kit.paint(image, "scene", bytes((90, 110, 130, 255)) * (SIZE[0] * SIZE[1]), (0, 0, *SIZE))
    bright = array.array("f", (3.0, 0.6, 0.3, 1.0)).tobytes()
    layer = kit.paint(image, "pasted", bright * (20 * 10), (30, 20, 20, 10), form="RGBA float")
    result = kit.harmonize(image, layer)
    new = array.array("f", kit.get(result, (5, 5, 1, 1)))
    t.fact("bright", list(new))
    assert new[0] > 1.5
    assert new[0] != 3.0


def case_other_numbers_than_numbers(t):
    image, layer = kit.scene(precision=Gimp.Precision.FLOAT_LINEAR)
    nan = array.array("f", (float("nan"), 0.5, 0.5, 1.0)).tobytes()
    kit.put(layer, nan, (5, 5, 1, 1), "RGBA float")
    status, _, said = kit.call(image, [layer])
    assert status == kit.FAILED
    assert "values that are not numbers" in said, said
    assert layer.get_visible()
