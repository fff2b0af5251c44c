"""Cases about what goes wrong: queues, Cancel, settings, daemons of every kind."""

import json
import os
import signal

import krita_kit as kit
from held import FOLDER, GAVE_UP, endless, hold, let_go, mend, person, process, python
from krita_kit import OBJECT

PAUSE = 0.2


def shown(words):
    """Return True if a progress dialog shows these words."""
    return any(words in dialog.labelText() for dialog in kit.dialogs())


def after_each():
    back()
    let_go()
    kit.close_all()
    kit.settings(model="tiny", language="en", remote="", token_file="", ca_file="", result="pixels")


def pasted(document, name, rect=OBJECT):
    layer = kit.paint(document, name, kit.object_bytes(rect[2], rect[3]), rect)
    yield from kit.ready(document, layer)
    return layer


def untouched(document, before, tree):
    kit.same(kit.tree(document.rootNode()), tree)
    assert kit.seen(document) == before


def case_progress_and_cancel_while_running(t):
    document, _ = yield from kit.scene()
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    hold()
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    (dialog,) = kit.dialogs()
    assert dialog.labelText().startswith("pasted\n"), dialog.labelText()
    assert not dialog.isModal()
    assert 0 < dialog.value() < 100, dialog.value()
    t.screenshot("progress.png")
    kit.press_cancel(dialog)
    yield kit.idle  # although the daemon is still held
    yield lambda: os.path.exists(GAVE_UP)
    let_go()
    yield PAUSE
    assert not kit.dialogs()
    assert not kit.said(), kit.said()
    untouched(document, before, tree)


def case_twice_at_once_and_cancel_while_queued(t):
    document, first = yield from kit.scene()
    second = yield from pasted(document, "second", (4, 4, 20, 16))
    hold()
    document.setActiveNode(first)
    yield PAUSE
    kit.trigger()
    yield lambda: shown("Preparing the picture")
    document.setActiveNode(second)
    yield PAUSE
    kit.trigger()
    yield lambda: shown("Waiting for other jobs")
    (dialog,) = [d for d in kit.dialogs() if d.labelText().startswith("second")]
    assert dialog.labelText() == "second\nWaiting for other jobs (it is next)…", dialog.labelText()
    kit.press_cancel(dialog)
    yield lambda: len(kit.plugin().jobs) == 1  # although the daemon is still held
    kit.trigger()  # again, and now both jobs finish
    yield lambda: shown("Waiting for other jobs")
    document.setActiveNode(first)
    yield PAUSE
    kit.trigger()  # the layer that is being harmonized already
    yield PAUSE
    assert kit.said() == ["“pasted” is being harmonized already. Wait for it, or cancel it first."], (
        kit.said()
    )
    kit.boxes()[0].close()
    let_go()
    yield kit.idle
    assert not kit.said(), kit.said()
    for name in ("pasted (harmonized)", "second (harmonized)"):
        assert kit.layer(document, name) is not None, name
    for _ in range(2):
        yield from kit.undo(document)
    assert kit.layer(document, "pasted (harmonized)") is None
    assert kit.layer(document, "second (harmonized)") is None
    assert document.rootNode().childNodes()[-1].type() == "paintlayer"


def case_queue_full(t):
    """The daemon takes in two jobs while one runs, and the fourth waits for its place."""
    document, _ = yield from kit.scene()
    layers = []
    for index in range(4):
        layers.append((yield from pasted(document, f"copy {index}", (4 + 20 * index, 4, 12, 12))))
    hold()
    for layer in layers:
        document.setActiveNode(layer)
        yield PAUSE
        kit.trigger()
        yield lambda: shown("Preparing")
        yield PAUSE
    yield lambda: shown("Waiting for other jobs (2 more before it)")
    assert len(kit.plugin().jobs) == 4
    let_go()
    yield kit.idle
    assert not kit.said(), kit.said()
    assert all(kit.layer(document, f"copy {index} (harmonized)") for index in range(4))


def case_nothing_open(t):
    kit.trigger()
    yield lambda: bool(kit.said())
    assert kit.said() == ["There is no image open. Open one, and choose the layer that holds the object."]
    kit.boxes()[0].close()


def case_unknown_model(t):
    document, _ = yield from kit.scene()
    kit.settings(model="nonsuch")
    yield from kit.harmonize(document)
    kit.settings(model="tiny")
    t.fact("said", kit.said())
    assert "nonsuch" in kit.said()[0]


def case_damaged_settings(t):
    path = os.path.join(FOLDER, "settings.json")
    with open(path, encoding="utf-8") as file:
        good = file.read()
    kit.write(path, b"{")
    document, _ = yield from kit.scene()
    yield from kit.harmonize(document)
    kit.write(path, good.encode())
    assert kit.said()[0].startswith(f"The settings in {path} cannot be read"), kit.said()


def case_in_german(t):
    document, layer = yield from kit.scene()
    kit.settings(language="de", model="nonsuch")
    yield from kit.harmonize(document)
    assert kit.said()[0].startswith("Ein Modell namens „nonsuch“ gibt es nicht."), kit.said()
    layer.move(500, 0)
    kit.draw(document)
    yield from kit.harmonize(document)
    kit.settings(language="en", model="tiny")
    assert any(words.startswith("„pasted“ ist innerhalb der Leinwand leer.") for words in kit.said()), (
        kit.said()
    )


def elsewhere(t, name, **note):
    """Another person's data folder, for the plugin and what it starts."""
    folder = os.environ["GLIHAMBA_DATA_DIR"] = person(t.path(name), **note)
    return folder


def back():
    os.environ["GLIHAMBA_DATA_DIR"] = FOLDER


def case_daemon_not_installed(t):
    document, _ = yield from kit.scene()
    before, tree = kit.seen(document), kit.tree(document.rootNode())
    elsewhere(t, "bare")
    yield from kit.harmonize(document)
    back()
    assert kit.said() == [
        "GLIHamba's daemon is not installed on this machine. Run install.py, then try again."
    ]
    untouched(document, before, tree)


def case_daemon_that_cannot_start(t):
    document, _ = yield from kit.scene()
    elsewhere(t, "broken", command=python("raise SystemExit('no torch here')"))
    yield from kit.harmonize(document)
    back()
    assert kit.said()[0].startswith("The daemon did not start: no torch here."), kit.said()


def case_daemon_not_running_then_killed(t):
    """The daemon is started, killed in the middle of a job, and another is started, which does the job."""
    began = t.path("began")
    folder = elsewhere(t, "fresh", command=endless(began))
    document, _ = yield from kit.scene()
    kit.trigger()
    yield lambda: shown("Starting the daemon")
    yield lambda: os.path.exists(began)
    killed = process(folder)
    mend(folder)
    os.kill(killed, signal.SIGKILL)
    yield kit.idle
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)") is not None
    assert process(folder) != killed
    os.kill(process(folder), signal.SIGTERM)
    back()


def case_daemon_of_another_version(t):
    """A daemon with a newer protocol."""
    document, _ = yield from kit.scene()
    future = (
        "from glihamba.daemon import service; service.PROTOCOL = 2; from glihamba.cli import main; main()"
    )
    folder = elsewhere(t, "future", command=[*python(future), "serve", "--device", "cpu"])
    yield from kit.harmonize(document)
    back()
    os.kill(process(folder), signal.SIGTERM)
    assert "is newer than this plugin or program" in kit.said()[0], kit.said()


def case_remote_daemon_that_refuses_the_token(t):
    document, _ = yield from kit.scene()
    kit.settings(**json.loads(os.environ["TEST_REMOTE"]))
    yield from kit.harmonize(document)
    t.fact("said", kit.said())
    assert "token" in kit.said()[0], kit.said()
    right = json.loads(os.environ["TEST_REMOTE"])["token_file"].replace("wrong", "right")
    kit.settings(token_file=right)
    yield from kit.harmonize(document)
    kit.settings(remote="", token_file="", ca_file="")
    assert not kit.said(), kit.said()
    assert kit.layer(document, "pasted (harmonized)") is not None


def case_remote_daemon_that_is_not_there(t):
    document, _ = yield from kit.scene()
    kit.settings(remote="127.0.0.1:9")
    yield from kit.harmonize(document)
    kit.settings(remote="")
    assert kit.said()[0].startswith("The remote daemon at 127.0.0.1:9 does not answer."), kit.said()
