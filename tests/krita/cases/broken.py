"""The vendored packages of the plugin are broken. Its menu entry exists and says so."""

import krita_kit as kit
from krita_kit import krita


def case_broken(t):
    action = krita.action("glihamba_harmonize")
    assert action is not None
    action.trigger()
    yield lambda: bool(kit.boxes())
    t.fact("said", kit.said())
    t.screenshot("broken.png")
