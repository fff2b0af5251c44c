"""Measure how long a person waits, and how long Krita does not respond meanwhile."""

import sys
import time
from typing import Any

import krita_kit as kit


def measured(t, document, layer, name):
    """Harmonize once while the daemon has the model loaded."""
    t.watch()
    yield 0.3
    marks: dict[str, Any] = {}
    steps, begun = [], time.monotonic()
    job = sys.modules["glihamba_krita.job"].LayerJob
    plain = job.step

    def timed(self):
        at = time.monotonic()
        plain(self)
        steps.append((at, time.monotonic() - at))

    job.step = timed
    kit.trigger()

    def phase():
        for dialog in kit.dialogs():
            marks.setdefault(dialog.labelText().split("\n")[-1], time.monotonic())
        return kit.idle()

    yield phase
    job.step = plain
    done = time.monotonic()
    yield lambda: kit.layer(document, "pasted (harmonized)") is not None
    yield lambda: kit.is_still(document)
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
            "our own share of capture": round(sum(s for at, s in steps if at < sent), 3),
            "our own share of delivery": round(sum(s for at, s in steps if at >= added - 0.05), 3),
            "our longest steps": sorted((round(seconds, 3) for _, seconds in steps), reverse=True)[:3],
            "longest while the daemon works": round(max(working, default=0), 3),
            "stalls": [[round(stall, 3) for stall in stalls[:5]] for stalls in (capture, working, delivery)],
        },
    )


def case_12_megapixels(t):
    document, layer = yield from kit.large(4000, 3000)
    yield from kit.harmonize(document)  # warm: the model is loaded, the kernels are compiled
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield 0.3
    yield from measured(t, document, layer, "12 megapixels")
    # For comparison: what Krita's own menu entry costs on the same layer, without our pixels.
    yield from kit.undo(document)
    document.setActiveNode(layer)
    yield 0.5
    t.watch()
    yield 0.3
    at = time.monotonic()
    kit.krita.action("create_quick_clipping_group").trigger()
    yield lambda: kit.is_still(document)
    yield 0.5
    t.facts["12 megapixels"]["stalls of a bare quick clipping group"] = round(sum(t.stalls(at)), 3)


def case_24_megapixels(t):
    document, layer = yield from kit.large(6000, 4000)
    before = kit.seen(document)
    yield from measured(t, document, layer, "24 megapixels")
    after = kit.seen(document)
    assert after != before
    left, top, width, height = 1500, 1000, 3000, 2000
    kit.unchanged_outside(before, after, (left, top, width, height), 6000)
    yield from kit.undo(document)
    assert kit.seen(document) == before


def case_a_small_object_in_63_megapixels(t):
    document, layer = yield from kit.large(9000, 7000, (6000, 4500, 300, 300))
    yield from measured(t, document, layer, "a 300-pixel object in 63 megapixels")


def case_layers_above_make_it_render(t):
    document, layer = yield from kit.large(4000, 3000)
    kit.paint(document, "above", bytes((0, 0, 200, 40)) * 1_000_000, (0, 0, 1000, 1000))
    yield from kit.ready(document, layer)
    yield from measured(t, document, layer, "12 megapixels, a layer above")
