"""A plugin whose vendored packages are broken: the menu entry is there and says so."""

import krita_kit as kit
from krita_kit import krita


def case_broken(t):
    action = krita.action("glihamba_harmonize")
    assert action is not None
    action.trigger()
    yield lambda: bool(kit.boxes())
    t.fact("said", kit.said())
    t.screenshot("broken.png")
