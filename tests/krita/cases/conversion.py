"""Pixels and colours without a window: run by `kritarunner -s conversion -f main REPORT`."""

import array
import json
import os
import random
import traceback

from krita import Krita

SRGB, LINEAR = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"
SIZE = (37, 23)


def main(arguments):
    import glihamba_krita.pixels as pixels  # its package makes the client importable

    document = Krita.instance().createDocument(16, 16, "lender", "RGBA", "U8", SRGB, 72.0)
    results = {}
    for name, function in list(globals().items()):
        if name.startswith("case_"):
            try:
                function(document, pixels)
                results[name[5:]] = ""
            except BaseException:
                results[name[5:]] = traceback.format_exc()
    with open(arguments[0], "w") as file:
        json.dump(results, file)
    os._exit(0)


def noise(depth, channels=4):
    """Random samples of every value, opaque enough to keep their colour."""
    generator, count = random.Random(4), SIZE[0] * SIZE[1] * channels
    if depth == "F32":
        return array.array("f", (generator.random() for _ in range(count))).tobytes()
    return bytes(generator.randrange(1, 256) for _ in range(count * {"U8": 1, "U16": 2}[depth]))


def opaque(pixels, raw, depth):
    changed = bytearray(raw)
    pixels.set_alpha(changed, depth, b"\xff" * (SIZE[0] * SIZE[1]))
    return bytes(changed)


def converted(pixels, document, raw, source, target):
    from glihamba_client.harmonize_layer import run

    return bytes(run(pixels.converted(document, raw, SIZE, source, target)))


def there_and_back(document, pixels, raw, source, target):
    there = converted(pixels, document, raw, source, target)
    return converted(pixels, document, there, target, source)


def case_profiles_are_known_by_what_they_do(document, pixels):
    wanted = {
        SRGB: "srgb",
        "sRGB built-in": "srgb",
        LINEAR: "linear",
        "krita-2.5, lcms sRGB built-in with linear gamma TRC": "linear",
        "ClayRGB-elle-V2-g22.icc": None,
        "Rec2020-elle-V4-g10.icc": None,
        "WideRGB-elle-V2-g22.icc": None,
        "ACEScg-elle-V4-g10.icc": None,
    }
    found = {name: pixels.probe(document, name) for name in wanted}
    assert found == wanted, found
    assert all(wanted[name] == transfer for name, transfer in pixels.KNOWN.items())


def case_how_pixels_travel(document, pixels):
    space, form = pixels.Space, pixels.form_of
    for depth in ("U8", "U16", "F32"):
        own = space("RGBA", depth, SRGB)
        assert form(document, own) == (own, "srgb")
    assert form(document, space("RGBA", "F16", LINEAR)) == (space("RGBA", "F32", LINEAR), "linear")
    for other in (("GRAYA", "U8", "x"), ("CMYKA", "U16", "x"), ("RGBA", "U8", "Rec2020-elle-V4-g10.icc")):
        assert form(document, space(*other)) == (pixels.LINEAR_SRGB, "linear")


def case_there_and_back(document, pixels):
    """Every 8- and 16-bit colour of a wide gamut survives the conversion to linear floats and back."""
    for profile in (SRGB, "ClayRGB-elle-V2-g22.icc", "Rec2020-elle-V4-g10.icc", "WideRGB-elle-V2-g22.icc"):
        for depth in ("U8", "U16"):
            source = pixels.Space("RGBA", depth, profile)
            raw = opaque(pixels, noise(depth), depth)
            back = there_and_back(document, pixels, raw, source, pixels.LINEAR_SRGB)
            kind = "B" if depth == "U8" else "H"
            pairs = zip(array.array(kind, raw), array.array(kind, back), strict=True)
            worst = max(abs(a - b) for a, b in pairs)
            assert worst <= (0 if depth == "U8" else 32), (profile, depth, worst)


def case_gray_and_lab_there_and_back(document, pixels):
    for model, profile, channels in (
        ("GRAYA", "Gray-D50-elle-V2-srgbtrc.icc", 2),
        ("LABA", "Lab identity built-in", 4),
    ):
        source = pixels.Space(model, "U16", profile)
        layer = document.createNode("samples", "paintlayer")
        layer.setColorSpace("RGBA", "U16", SRGB)
        layer.setPixelData(opaque(pixels, noise("U16"), "U16"), 0, 0, *SIZE)
        layer.setColorSpace(*source)
        raw = bytes(layer.pixelData(0, 0, *SIZE))
        assert len(raw) == SIZE[0] * SIZE[1] * channels * 2
        back = there_and_back(document, pixels, raw, source, pixels.LINEAR_SRGB)
        pairs = zip(array.array("H", raw), array.array("H", back), strict=True)
        worst = max(abs(a - b) for a, b in pairs)
        assert worst <= 24, (model, worst)


def case_halves_travel_as_floats_without_loss(document, pixels):
    half = pixels.Space("RGBA", "F16", LINEAR)
    form = pixels.form_of(document, half)
    first = opaque(pixels, noise("F32"), "F32")
    raw = converted(pixels, document, first, form.space, half)
    assert there_and_back(document, pixels, raw, half, form.space) == raw


def case_strips_join_without_a_seam(document, pixels):
    raw, source = opaque(pixels, noise("U8"), "U8"), pixels.Space("RGBA", "U8", "ClayRGB-elle-V2-g22.icc")
    whole = converted(pixels, document, raw, source, pixels.LINEAR_SRGB)
    kept, pixels.STRIP = pixels.STRIP, 5 * SIZE[0]
    try:
        steps = pixels.converted(document, raw, SIZE, source, pixels.LINEAR_SRGB)
        assert sum(1 for _ in steps) == 5
        assert converted(pixels, document, raw, source, pixels.LINEAR_SRGB) == whole
    finally:
        pixels.STRIP = kept


def case_alpha_of_every_depth(document, pixels):
    coverage = bytes(range(256))
    for depth, kind, full in (("U8", "B", 255), ("U16", "H", 65535), ("F32", "f", 1.0)):
        raw = bytearray(array.array(kind, [0] * 1024).tobytes())
        pixels.set_alpha(raw, depth, coverage)
        samples = array.array(kind, bytes(raw))
        assert not any(value for place, value in enumerate(samples) if place % 4 != 3)
        for value, alpha in zip(coverage, samples[3::4], strict=True):
            assert abs(alpha - full * value / 255) < 1e-6, (depth, value, alpha)


def case_masks_and_pieces(document, pixels):
    mask = pixels.mask_plane(bytes((1, 2, 3, 4)), (1, 1, 2, 2), (0, 0, 4, 3))
    assert bytes(mask.data) == bytes((0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0))
    assert pixels.cropped(mask.data, (0, 0, 4, 3), (1, 1, 2, 2)) == bytes((1, 2, 3, 4))
    assert pixels.cropped(noise("U8"), (0, 0, *SIZE), (0, 0, *SIZE)) == noise("U8")
    part = pixels.mask_plane(bytes((1, 2, 3, 4)), (11, 21, 2, 2), (10, 20, 4, 3))
    assert (part.offset, bytes(part.data)) == ((10, 20), bytes(mask.data))
    assert pixels.cropped(part.data, (10, 20, 4, 3), (11, 21, 2, 2)) == bytes((1, 2, 3, 4))
    assert pixels.where(bytes((9, 9, 0, 7)), bytes((1, 0, 255, 255))) == bytes((9, 0, 0, 7))
    assert pixels.alpha_of(bytes(range(8))) == bytes((3, 7))
