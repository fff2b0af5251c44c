"""Cases about colour: results of every model and depth return in the document's own space."""

import krita_kit as kit
from krita_kit import LINEAR, OBJECT, SIZE, SRGB

GRAY, GRAY_LINEAR = "Gray-D50-elle-V2-srgbtrc.icc", "Gray-D50-elle-V2-g10.icc"
LAB, CMYK = "Lab identity built-in", "Chemical proof"
REC2020, CLAY = "Rec2020-elle-V4-g10.icc", "ClayRGB-elle-V2-g22.icc"
SAMPLE_BYTES = {"U8": 1, "U16": 2, "F16": 2, "F32": 4}
CHANNELS = {"RGBA": 4, "LABA": 4, "GRAYA": 2, "CMYKA": 5}


def whole(t, model, depth, profile):
    """Harmonize in that space, once with strength 0, which must change nothing, and once with 1."""
    document, layer = yield from kit.scene(soft=0, model=model, depth=depth, profile=profile)
    assert (document.colorModel(), document.colorDepth(), document.colorProfile()) == (model, depth, profile)
    pixel = SAMPLE_BYTES[depth] * CHANNELS[model]
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    assert len(before) == pixel * SIZE[0] * SIZE[1]
    keep(t, document, "before", before)
    exported = model == "RGBA" and depth in ("U8", "U16")
    if exported:
        kit.export(document, t.path(t.case + ".before.png"))

    kit.settings(strength=0.0)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.unchanged_outside(before, kit.seen(document), OBJECT, SIZE[0], pixel)
    keep(t, document, "unchanged", kit.seen(document))
    yield from kit.undo(document)
    kit.same(kit.tree(document.rootNode()), tree)
    kit.same_picture(kit.seen(document), before, depth)

    kit.settings(strength=1.0)
    document.setActiveNode(layer)
    yield 0.2
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    after = kit.seen(document)
    assert after != before
    kit.unchanged_outside(before, after, OBJECT, SIZE[0], pixel)
    keep(t, document, "after", after)
    result = kit.layer(document, "pasted (harmonized)")
    assert (result.colorModel(), result.colorDepth(), result.colorProfile()) == (model, depth, profile)
    if exported:
        kit.export(document, t.path(t.case + ".after.png"))


def keep(t, document, name, raw):
    """Keep the picture in its own bytes and as 8-bit sRGB."""
    kit.write(t.path(f"{t.case}.{name}"), raw)
    clone = document.clone()  # converting a layer is an undo step of its document
    layer = clone.createNode("converted", "paintlayer")
    layer.setColorSpace(document.colorModel(), document.colorDepth(), document.colorProfile())
    layer.setPixelData(raw, 0, 0, *SIZE)
    if document.colorModel() == "RGBA":
        layer.setColorSpace("RGBA", "F32", document.colorProfile())
        layer.setColorSpace("RGBA", "F32", SRGB)
    layer.setColorSpace("RGBA", "U8", SRGB)
    kit.write(t.path(f"{t.case}.{name}.srgb"), bytes(layer.pixelData(0, 0, *SIZE)))
    clone.close()


def case_rgb_8(t):
    yield from whole(t, "RGBA", "U8", SRGB)


def case_rgb_8_linear(t):
    yield from whole(t, "RGBA", "U8", LINEAR)


def case_rgb_16_linear(t):
    yield from whole(t, "RGBA", "U16", LINEAR)


def case_rgb_16(t):
    yield from whole(t, "RGBA", "U16", SRGB)


def case_rgb_half_linear(t):
    yield from whole(t, "RGBA", "F16", LINEAR)


def case_rgb_float_linear(t):
    yield from whole(t, "RGBA", "F32", LINEAR)


def case_rgb_float(t):
    yield from whole(t, "RGBA", "F32", SRGB)


def case_srgb_by_another_name(t):
    yield from whole(t, "RGBA", "U8", "sRGB built-in")


def case_adobe_rgb_8(t):
    yield from whole(t, "RGBA", "U8", CLAY)


def case_rec2020_16_linear(t):
    yield from whole(t, "RGBA", "U16", REC2020)


def case_rec2020_half(t):
    yield from whole(t, "RGBA", "F16", REC2020)


def case_gray_8(t):
    yield from whole(t, "GRAYA", "U8", GRAY)


def case_gray_16_linear(t):
    yield from whole(t, "GRAYA", "U16", GRAY_LINEAR)


def case_gray_float(t):
    yield from whole(t, "GRAYA", "F32", GRAY_LINEAR)


def case_lab_8(t):
    yield from whole(t, "LABA", "U8", LAB)


def case_lab_16(t):
    yield from whole(t, "LABA", "U16", LAB)


def case_lab_float(t):
    yield from whole(t, "LABA", "F32", LAB)


def case_cmyk_8(t):
    yield from whole(t, "CMYKA", "U8", CMYK)


def case_cmyk_16(t):
    yield from whole(t, "CMYKA", "U16", CMYK)


def case_cmyk_float(t):
    yield from whole(t, "CMYKA", "F32", CMYK)


def case_beyond_srgb(t):
    """A green outside sRGB's gamut is not clipped."""
    document = kit.new(profile=REC2020, depth="U16")
    space = ("RGBA", "U16", REC2020)
    green = bytes.fromhex("0000ffff0000ffff")
    kit.paint(
        document, "scene", bytes.fromhex("0030006000c0ffff") * (SIZE[0] * SIZE[1]), (0, 0, *SIZE), space
    )
    layer = kit.paint(document, "pasted", green * (OBJECT[2] * OBJECT[3]), OBJECT, space)
    yield from kit.ready(document, layer)
    before = kit.seen(document)
    kit.settings(strength=0.0)
    yield from kit.harmonize(document)
    kit.settings(strength=1.0)
    assert not kit.said(), kit.said()
    x, y = OBJECT[0] + 5, OBJECT[1] + 5
    old, new = (kit.at(raw, x, y, kind="H") for raw in (before, kit.seen(document)))
    t.fact("green", (old, new))
    assert all(abs(a - b) <= 8 for a, b in zip(old, new, strict=True)), (old, new)


def case_beyond_white(t):
    """Values above 1 stay above 1 in a float document."""
    import array

    document = kit.new(depth="F32", profile=LINEAR)
    space = ("RGBA", "F32", LINEAR)
    dim, bright = (
        array.array("f", values).tobytes() for values in ((0.2, 0.3, 0.5, 1.0), (3.0, 2.0, 1.5, 1.0))
    )
    kit.paint(document, "scene", dim * (SIZE[0] * SIZE[1]), (0, 0, *SIZE), space)
    layer = kit.paint(document, "pasted", bright * (OBJECT[2] * OBJECT[3]), OBJECT, space)
    yield from kit.ready(document, layer)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    new = kit.at(kit.seen(document), OBJECT[0] + 5, OBJECT[1] + 5, kind="f")
    t.fact("bright", new)
    assert new[0] > 1.5


def case_layer_in_another_space_than_its_document(t):
    document = kit.new(depth="U16", profile=LINEAR)
    kit.paint(document, "scene", kit.scene_bytes(*SIZE), (0, 0, *SIZE))
    layer = document.createNode("pasted", "paintlayer")
    layer.setColorSpace("RGBA", "U8", SRGB)
    layer.setPixelData(kit.object_bytes(OBJECT[2], OBJECT[3], 0), *OBJECT)
    document.rootNode().addChildNode(layer, None)
    yield from kit.ready(document, layer)
    assert layer.colorDepth() == "U8"
    before = kit.seen(document)
    keep(t, document, "before", before)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.unchanged_outside(before, kit.seen(document), OBJECT, SIZE[0], 8)
    keep(t, document, "after", kit.seen(document))
    assert layer.colorDepth() == "U8"


def case_selection_in_a_float_document(t):
    document, _ = yield from kit.scene(soft=0, depth="F32", profile=LINEAR)
    document.setSelection(kit.selection(36, 24, 10, 10, 128))
    yield 0.3
    before = kit.seen(document)
    yield from kit.harmonize(document)
    assert not kit.said(), kit.said()
    kit.unchanged_outside(before, kit.seen(document), OBJECT, SIZE[0], 16)
    beside = (OBJECT[0], OBJECT[1], OBJECT[2], 4)  # of the object, but not selected
    old, new = (kit.cut(raw, beside, SIZE[0], 16) for raw in (before, kit.seen(document)))
    kit.same_picture(new, old, "F32")
    result = kit.layer(document, "pasted (harmonized)")
    alpha = kit.at(bytes(result.pixelData(40, 28, 1, 1)), 0, 0, kind="f")[3]
    assert abs(alpha - 128 / 255) < 1e-6, alpha
