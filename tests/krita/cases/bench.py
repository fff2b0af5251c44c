"""How long a person waits, and for how long Krita stands still meanwhile. Figures, no verdicts."""

import time

import kit


def large(width, height):
    """A scene with grain, and an object on a quarter of it."""
    document = kit.new((width, height))
    row = bytes((x * 7 + c * 40) % 120 + 60 if c < 3 else 255 for x in range(width) for c in range(4))
    kit.paint(document, "scene", row * height, (0, 0, width, height))
    half = (width // 2, height // 2)
    other = bytes((x * 11 + c * 60) % 100 + 100 if c < 3 else 255 for x in range(half[0]) for c in range(4))
    layer = kit.paint(document, "pasted", other * half[1], (width // 4, height // 4, *half))
    yield from kit.ready(document, layer)
    return document, layer


def measured(t, document, layer, name):
    """Once, with the daemon warm."""
    t.watch()
    yield 0.3
    marks, begun = {}, time.monotonic()
    kit.trigger()

    def phase():
        for dialog in kit.dialogs():
            marks.setdefault(dialog.labelText().split("\n")[-1], time.monotonic())
        return kit.idle()

    yield phase, 300
    done = time.monotonic()
    yield lambda: kit.layer(document, "pasted (harmonized)") is not None
    document.waitForDone()
    shown = time.monotonic()
    yield 0.3
    assert not kit.said(), kit.said()
    sent = (
        marks["Sending the picture…"]
        if "Sending the picture…" in marks
        else min(mark for label, mark in marks.items() if not label.startswith("Reading"))
    )
    added = marks["Adding the result…"]
    capture, working, delivery = (
        t.stalls(begun - 0.1, sent),
        t.stalls(sent, added),
        t.stalls(added, shown + 0.1),
    )
    t.fact(
        name,
        {
            "action to result": round(shown - begun, 2),
            "until the dialog closed": round(done - begun, 2),
            "reading": round(sent - begun, 2),
            "stalls of capture": round(sum(capture), 3),
            "stalls of delivery": round(sum(delivery), 3),
            "longest while the daemon works": round(max(working, default=0), 3),
            "all": [[round(stall, 3) for stall in stalls[:5]] for stalls in (capture, working, delivery)],
        },
    )


def case_12_megapixels(t):
    document, layer = yield from large(4000, 3000)
    yield from kit.harmonize(document)  # warm: the model is loaded, the kernels are compiled
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield 0.3
    yield from measured(t, document, layer, "12 megapixels")


def case_24_megapixels(t):
    document, layer = yield from large(6000, 4000)
    before = kit.seen(document)
    yield from measured(t, document, layer, "24 megapixels")
    after = kit.seen(document)
    assert after != before
    left, top, width, height = 1500, 1000, 3000, 2000
    kit.unchanged_outside(before, after, (left, top, width, height), 6000)
    yield from kit.undo(document)
    assert kit.seen(document) == before


def case_layers_above_make_it_render(t):
    document, layer = yield from large(4000, 3000)
    kit.paint(document, "above", bytes((0, 0, 200, 40)) * 1_000_000, (0, 0, 1000, 1000))
    yield from kit.ready(document, layer)
    yield from measured(t, document, layer, "12 megapixels, a layer above")
