"""Measure how long a person waits, and how much of that the plug-in needs."""

import os
import statistics
import sys
import time

import gimp_kit as kit
from gimp_kit import Gimp


def after_each(t):
    kit.delete_all()


def same_job(image, layer):
    """The job that the plug-in would send, for the client alone."""
    from glihamba_client.host import Capture, Plane

    width, height = image.get_width(), image.get_height()
    inner = layer.get_width(), layer.get_height()
    _, left, top = layer.get_offsets()
    mask = bytearray(width * height)
    for y in range(top, top + inner[1]):
        mask[y * width + left : y * width + left + inner[0]] = b"\xff" * inner[0]
    return Capture(
        Plane(width, height, "uint8", "rgba", kit.seen(image, "R'G'B'A u8")),
        Plane(width, height, "uint8", "gray", bytes(mask)),
        Plane(*inner, "uint8", "rgba", kit.get(layer, form="R'G'B'A u8"), (left, top)),
    )


def measured(t, name, image, layer, rounds=3):
    """Medians of alternating runs: the procedure, and the same job sent by the client alone."""
    sys.path.append(os.environ["TEST_VENDOR"])
    from glihamba_client.service import DaemonService

    job = same_job(image, layer)
    DaemonService().start(job).result()  # warm: the model is loaded, the kernels are compiled
    whole, alone, computed = [], [], []
    for _ in range(rounds):
        begun = time.monotonic()
        result = kit.harmonize(image, layer)
        whole.append(time.monotonic() - begun)
        kit.ungroup(image, result)
        begun = time.monotonic()
        done = DaemonService().start(job).result()
        alone.append(time.monotonic() - begun)
        computed.append(done.seconds_computed)
    values = [statistics.median(seconds) for seconds in (whole, alone, computed)]
    names = ("procedure", "daemon, there and back", "of it computed")
    figures = {what: round(value, 2) for what, value in zip(names, values, strict=True)}
    t.fact(name, {**figures, "added by the plug-in": round(values[0] - values[1], 2)})


def case_12_megapixels(t):
    measured(t, "12 megapixels", *kit.large(4000, 3000))


def case_24_megapixels(t):
    image, layer = kit.large(6000, 4000)
    before = kit.seen(image)
    result = kit.harmonize(image, layer)
    after = kit.seen(image)
    assert after != before
    kit.unchanged_outside(before, after, (1500, 1000, 3000, 2000), 6000, len(before) // 24_000_000)
    kit.ungroup(image, result)
    assert kit.seen(image) == before
    measured(t, "24 megapixels", image, layer)


def case_12_megapixels_with_a_soft_selection(t):
    image, layer = kit.large(4000, 3000)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 1200, 900, 1500, 1200)
    Gimp.Selection.feather(image, 100)
    measured(t, "12 megapixels, a soft selection", image, layer, 1)


def case_12_megapixels_of_floats(t):
    image, layer = kit.large(4000, 3000)
    assert image.convert_precision(Gimp.Precision.FLOAT_LINEAR)
    measured(t, "12 megapixels of 32-bit floats (against 8 bits alone)", image, layer, 1)


def case_a_small_object_in_63_megapixels(t):
    image, layer = kit.large(9000, 7000, (6000, 4500, 300, 300))
    kit.ungroup(image, kit.harmonize(image, layer))  # warm
    begun = time.monotonic()
    kit.harmonize(image, layer)
    t.fact("a 300-pixel object in 63 megapixels", {"procedure": round(time.monotonic() - begun, 2)})
