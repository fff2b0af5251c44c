"""The vendored packages of the plug-in are broken. Its menu entry exists and says so."""

import gimp_kit as kit
from gimp_kit import Gimp


def after_each(t):
    kit.delete_all()


def case_broken(t):
    t.fact("menu", Gimp.get_pdb().lookup_procedure(kit.PROCEDURE).get_menu_label())
    image, layer = kit.scene()
    before = kit.state(image)
    status, _, said = kit.call(image, [layer])
    assert status == kit.FAILED
    t.fact("said", said)
    kit.same(kit.state(image), before)
