"""What the person sees: menu, progress, result, settings. Screenshots are kept."""

import os

import krita_kit as kit
from krita_kit import krita

try:
    from PyQt5.QtCore import QPoint, QTimer
    from PyQt5.QtWidgets import QApplication, QComboBox, QDialog, QDialogButtonBox, QDockWidget, QMenu
except ImportError:
    from PyQt6.QtCore import QPoint, QTimer
    from PyQt6.QtWidgets import QApplication, QComboBox, QDialog, QDialogButtonBox, QDockWidget, QMenu

HOLD = os.path.join(os.environ["GLIHAMBA_DATA_DIR"], "hold")


def after_each():
    if os.path.exists(HOLD):
        os.remove(HOLD)
    kit.close_all()


def picture(t):
    """The composite that ships with GLIHamba: the scene, and the drum on a layer of their own."""
    window = krita.activeWindow().qwindow()
    next(one for one in window.findChildren(QDockWidget) if one.objectName() == "glihamba_docker").hide()
    window.setGeometry(0, 0, 1280, 800)
    yield 0.2
    size = tuple(map(int, os.environ["TEST_SIZE"].split()))
    document, layers = kit.new(size), []
    for name in ("scene", "drum"):
        with open(t.path(name + ".bgra"), "rb") as file:
            layers.append(kit.paint(document, name, file.read(), (0, 0, *size)))
    drum = layers[-1]
    yield from kit.ready(document, drum)
    krita.action("zoom_to_100pct").trigger()
    krita.action("view_zoom_out").trigger()
    krita.action("view_zoom_out").trigger()
    yield 0.5
    return document, drum


def case_menu(t):
    _document, _ = yield from picture(t)
    action = krita.action("glihamba_harmonize")
    assert action.text().replace("&", "") == "Harmonize layer", action.text()
    assert action.shortcut().toString() == "Ctrl+Alt+H", action.shortcut().toString()
    assert "opacity of the new layer" in action.toolTip(), action.toolTip()
    window = krita.activeWindow().qwindow()
    tools = next(m for m in window.findChildren(QMenu) if m.objectName() == "tools")
    scripts = next(m for m in window.findChildren(QMenu) if action in m.actions())
    assert scripts.menuAction() in tools.actions()
    tools.popup(
        window.menuBar().mapToGlobal(window.menuBar().actionGeometry(tools.menuAction()).bottomLeft())
    )
    yield 0.5
    scripts.popup(tools.mapToGlobal(tools.actionGeometry(scripts.menuAction()).topRight() + QPoint(2, 0)))
    scripts.setActiveAction(action)
    yield 0.8
    t.screenshot("menu.png")
    scripts.close()
    tools.close()


def case_demo(t):
    """The default model, as it ships, on the picture that ships."""
    document, drum = yield from picture(t)
    size = document.width(), document.height()
    kit.settings(model="")
    kit.write(t.path("demo.before"), kit.seen(document))
    t.screenshot("before.png")
    kit.write(HOLD, b"")
    kit.trigger()
    yield lambda: any("Preparing the picture" in dialog.labelText() for dialog in kit.dialogs())
    yield 0.3
    t.screenshot("progress.png")
    os.remove(HOLD)
    yield kit.idle
    yield 0.5
    document.waitForDone()
    t.screenshot("result.png")
    kit.settings(model="tiny")
    assert not kit.said(), kit.said()
    t.fact("size", size)
    kit.write(t.path("demo.after"), kit.seen(document))
    kit.write(t.path("demo.mask"), bytes(drum.pixelData(0, 0, *size))[3::4])


def case_docker(t):
    """The docker with the default model, as it ships."""
    from docker import docker

    _document, _ = yield from picture(t)
    kit.settings(model="")
    shown = docker()
    yield 0.3
    docker()  # gives it the room that the docks around it have left
    shown.preview_button.click()
    yield lambda: not shown.is_busy()
    assert shown.look is not None, shown.status.text()
    shown.sliders.sliders["light"].setValue(60)
    yield lambda: shown.model.count() > 1
    yield 0.5
    t.screenshot("docker-demo.png")
    shown.sliders.reset()
    kit.settings(model="tiny")


def case_editable_curves(t):
    """The curves of an editable result, in Krita's own window for them."""
    document, _ = yield from picture(t)
    kit.settings(model="", result="curves")
    yield from kit.harmonize(document)
    kit.settings(model="tiny", result="pixels")
    assert not kit.said(), kit.said()
    result = kit.layer(document, "drum (harmonized)")
    assert result.type() == "filterlayer"
    document.setActiveNode(result)
    yield lambda: document.activeNode().type() == "filterlayer"
    main = krita.activeWindow().qwindow()
    known = set(QApplication.topLevelWidgets())
    QTimer.singleShot(0, krita.action("layer_properties").trigger)  # the window may be modal

    def opened():
        found = [w for w in QApplication.topLevelWidgets() if w.isVisible() and w not in known and w != main]
        return [w for w in found if isinstance(w, QDialog)]

    yield lambda: bool(opened())
    (window,) = opened()
    window.move(440, 240)
    channels = next(box for box in window.findChildren(QComboBox) if box.findText("Red") > 0)
    channels.setCurrentIndex(channels.findText("Red"))
    channels.activated.emit(channels.currentIndex())  # as a click does
    yield 0.8
    t.screenshot("curves-demo.png")
    for window in opened():
        window.reject()
    yield 0.3


def case_strength_is_the_result_s_opacity(t):
    document, _ = yield from kit.scene(soft=0)
    before = kit.seen(document)
    yield from kit.harmonize(document)
    whole = kit.seen(document)
    result = kit.layer(document, "pasted (harmonized)")
    result.setOpacity(128)
    kit.draw(document)
    half = kit.seen(document)
    x, y = 40, 30
    old, mixed, new = (kit.at(raw, x, y) for raw in (before, half, whole))
    assert all(abs((a + b) / 2 - m) <= 1 for a, m, b in zip(old, mixed, new, strict=True)), (old, mixed, new)
    result.setVisible(False)
    kit.draw(document)
    assert kit.seen(document) == before


def case_settings(t):
    """Settings are saved and shown again; a bad address is refused and nothing is saved."""
    kit.trigger("glihamba_settings")
    dialog = kit.plugin().dialog
    assert not dialog.isModal()
    yield lambda: dialog.model.count() > 2
    names = [dialog.model.itemData(index) for index in range(dialog.model.count())]
    assert names[0] == ""
    assert {"statistics", "tiny"} <= set(names), names
    assert dialog.model.currentData() == "tiny"
    assert "cpu" in dialog.device.text(), dialog.device.text()
    assert dialog.licence.text() == "MIT", "who may use the chosen model"
    t.screenshot("settings.png")
    t.fact("device", dialog.device.text())

    dialog.remote.setText("studio")
    ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
    ok.click()
    yield 0.2
    assert dialog.isVisible()
    assert "Write it as host:port" in kit.said()[0], kit.said()
    kit.close_all()
    dialog.remote.setText("")
    dialog.model.setCurrentIndex(names.index("statistics"))
    languages = dialog.language
    languages.setCurrentIndex(languages.findData("de"))
    ok.click()
    yield 0.2
    assert not dialog.isVisible()

    kit.trigger("glihamba_settings")
    dialog = kit.plugin().dialog
    assert dialog.windowTitle() == "Ebene harmonisieren: Einstellungen…"
    yield lambda: dialog.model.count() > 2
    assert dialog.model.currentData() == "statistics"
    dialog.reject()
    kit.settings(model="tiny", language="en")


def case_settings_after_their_window_was_closed(t):
    """The hidden dialog is deleted with the window it was opened from; it can be opened again."""
    window = krita.openWindow()
    window.qwindow().show()
    yield 1.0
    window.activate()
    yield lambda: krita.activeWindow().qwindow() == window.qwindow()
    kit.trigger("glihamba_settings")
    dialog = kit.plugin().dialog
    assert dialog.parent() == window.qwindow()
    dialog.reject()
    gone = []
    dialog.destroyed.connect(lambda: gone.append(True))
    window.qwindow().close()
    yield lambda: bool(gone)
    for _ in range(2):
        kit.trigger("glihamba_settings")
        yield 0.2
        assert not kit.said(), kit.said()
        assert kit.plugin().dialog.isVisible()
    kit.plugin().dialog.reject()


def case_imported_by_krita_itself(t):
    """Tools > Scripts > Import Python Plugin from File takes the release's archive."""
    from plugin_importer.plugin_importer import PluginImporter

    target = t.path("imported")
    os.mkdir(target)
    imported = PluginImporter(os.environ["TEST_ARCHIVE"], target, lambda plugin: True).import_all()
    assert [plugin["name"] for plugin in imported] == ["glihamba_krita"]
    for name in ("pykrita/glihamba_krita.desktop", "actions/glihamba_krita.action"):
        assert os.path.isfile(os.path.join(target, name)), name
    t.fact("files", sum(len(files) for _, _, files in os.walk(target)))


def case_second_window(t):
    """The menu entry is in every window."""
    window = krita.openWindow()
    yield 1.0
    menus = [
        m
        for m in window.qwindow().findChildren(QMenu)
        for a in m.actions()
        if a.objectName() == "glihamba_harmonize"
    ]
    assert menus
