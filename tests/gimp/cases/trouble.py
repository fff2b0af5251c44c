"""Cases about what goes wrong: layers that vanish meanwhile, daemons of every kind."""

import os
import signal
import sys
import threading

import gimp_kit as kit
from gimp_kit import OBJECT, SIZE, Gimp
from held import BEGAN, FOLDER, GAVE_UP, HOLD, endless, hold, let_go, mend, person, process, python

LINK = os.environ["GLIHAMBA_DATA_DIR"]  # the link that the plug-in follows


def after_each(t):
    lead_to(FOLDER)
    let_go()
    kit.pictures.settings(model="tiny", language="en")
    kit.delete_all()


def lead_to(folder):
    """Make the plug-in use that data folder."""
    os.symlink(folder, LINK + ".new")
    os.replace(LINK + ".new", LINK)


def elsewhere(t, name, **note):
    lead_to(person(t.path(name), **note))
    return t.path(name)


def while_held(code):
    """Run `code` while the daemon holds the job, then release the job."""
    hold()
    lines = ("import os", "image = Gimp.get_images()[0]", "layer = image.get_layers()[0]", code)
    kit.meanwhile("\n".join([*lines, f"os.remove({HOLD!r})"]))


def said_meanwhile(image, layer, code):
    while_held(code)
    status, _, said = kit.call(image, [layer])
    kit.happened()
    assert status == kit.FAILED, (status, said)
    return said


def case_layer_deleted_meanwhile(t):
    image, layer = kit.scene()
    said = said_meanwhile(image, layer, "image.remove_layer(layer)")
    assert said == "“pasted” was deleted meanwhile, so the result was dropped.", said
    assert [one.get_name() for one in image.get_layers()] == ["scene"]


def case_image_closed_meanwhile(t):
    """GIMP keeps the image until the plug-in has ended, and then deletes it with the result."""
    image, layer = kit.scene()
    while_held("image.delete()")
    status, _, said = kit.call(image, [layer])
    kit.happened()
    assert status == kit.SUCCESS, said
    del image, layer
    assert not Gimp.get_images()


def case_layer_moved_meanwhile(t):
    image, layer = kit.scene()
    said = said_meanwhile(image, layer, "layer.set_offsets(3, 4)")
    assert said == "“pasted” was moved or resized meanwhile. Nothing was changed: try again.", said
    assert len(image.get_layers()) == 2
    assert layer.get_visible()


def case_layer_resized_meanwhile(t):
    image, layer = kit.scene()
    said = said_meanwhile(image, layer, "layer.resize(50, 50, 4, 4)")
    assert said == "“pasted” was moved or resized meanwhile. Nothing was changed: try again.", said


def case_image_resized_meanwhile(t):
    image, layer = kit.scene()
    said = said_meanwhile(image, layer, "image.crop(60, 50, 5, 5)")
    assert said.startswith("The image has changed its size or colours meanwhile. Nothing was changed"), said


def case_image_converted_meanwhile(t):
    image, layer = kit.scene()
    said = said_meanwhile(image, layer, "image.convert_precision(Gimp.Precision.U16_NON_LINEAR)")
    assert said.startswith("The image has changed its size or colours meanwhile. Nothing was changed"), said


def case_layer_put_into_a_group_meanwhile(t):
    """The two are put into the layer's new group."""
    image, layer = kit.scene()
    while_held(
        "group = Gimp.GroupLayer.new(image, 'group')\n"
        "image.insert_layer(group, None, 0)\n"
        "image.reorder_item(layer, group, 0)"
    )
    added = kit.harmonize(image, layer)
    kit.happened()
    assert added.get_parent().get_name() == "group"


def case_selection_changed_meanwhile(t):
    """The result changes what was selected at the beginning; the new selection stays."""
    image, layer = kit.scene(soft=0)
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 36, 24, 10, 10)
    Gimp.Selection.feather(image, 2)
    wanted = kit.get(kit.harmonize(image, layer))
    kit.ungroup(image, image.get_layers()[0])
    while_held("image.select_rectangle(Gimp.ChannelOps.REPLACE, 1, 1, 9, 9)")
    added = kit.harmonize(image, layer)
    kit.happened()
    assert kit.get(added) == wanted
    assert Gimp.Selection.bounds(image)[2:] == (1, 1, 10, 10)


def case_plug_in_killed(t):
    """As at GIMP's Cancel, the daemon drops the job, the image does not change, and no copy is left."""
    image, layer = kit.scene()
    before = kit.state(image)
    hold()
    killer = threading.Thread(target=kill_the_plug_in)
    killer.start()
    status, _, _ = kit.call(image, [layer])
    killer.join()
    assert status != kit.SUCCESS
    kit.until(lambda: os.path.exists(GAVE_UP))
    kit.same(kit.state(image), before)


def kill_the_plug_in():
    kit.until(lambda: os.path.exists(BEGAN))
    for entry in os.listdir("/proc"):
        if entry.isdigit() and plug_in_words(entry):
            os.kill(int(entry), signal.SIGKILL)


def plug_in_words(pid):
    """Return True if that process is the plug-in of this GIMP."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        with open(f"/proc/{pid}/stat") as file:
            parent = int(file.read().rsplit(")", 1)[1].split()[1])
    except (OSError, ValueError):
        return False
    return parent == os.getppid() and any(word.endswith(b"/glihamba.py") for word in words)


def case_queue_is_full(t):
    sys.path.append(os.environ["TEST_VENDOR"])
    from glihamba_client.host import Capture, Plane
    from glihamba_client.service import DaemonService

    scene = Plane(8, 8, "uint8", "rgb", os.urandom(192))
    capture = Capture(scene, Plane(8, 8, "uint8", "gray", bytes(32) + b"\xff" * 32))
    image, layer = kit.scene()
    hold()
    jobs = []
    for _ in range(3):
        jobs.append(DaemonService(name="another program").start(capture))
        kit.until(lambda: os.path.exists(BEGAN))
        kit.until(lambda: jobs[-1].progress().stage in ("PREPARING", "QUEUED"))
    later = threading.Timer(1.0, let_go)
    later.start()
    assert kit.harmonize(image, layer).get_name() == "pasted (harmonized)"
    later.join()
    assert all(job.result().plane.width == 8 for job in jobs)


def case_daemon_not_installed(t):
    image, layer = kit.scene()
    elsewhere(t, "bare")
    wanted = "GLIHamba's daemon is not installed on this machine. Run install.py, then try again."
    kit.refused(image, [layer], wanted)


def case_daemon_that_cannot_start(t):
    image, layer = kit.scene()
    elsewhere(t, "broken", command=python("raise SystemExit('no torch here')"))
    kit.refused(image, [layer], "The daemon did not start: no torch here.")


def case_daemon_of_another_version(t):
    """A daemon with a newer protocol."""
    image, layer = kit.scene()
    future = (
        "from glihamba.daemon import service; service.PROTOCOL = 2; from glihamba.cli import main; main()"
    )
    folder = elsewhere(t, "future", command=[*python(future), "serve", "--device", "cpu"])
    kit.refused(image, [layer], "is newer than this plugin or program")
    os.kill(process(folder), signal.SIGTERM)


def case_daemon_not_running_then_killed(t):
    """The daemon is started, killed in the middle of a job, and another is started, which does the job."""
    began = t.path("began")
    folder = elsewhere(t, "fresh", command=endless(began))
    image, layer = kit.scene()

    def kill():
        kit.until(lambda: os.path.exists(began))
        mend(folder)
        killed.append(process(folder))
        os.kill(killed[0], signal.SIGKILL)

    killed: list = []
    killer = threading.Thread(target=kill)
    killer.start()
    kit.harmonize(image, layer)
    killer.join()
    assert process(folder) != killed[0]
    os.kill(process(folder), signal.SIGTERM)


def case_damaged_settings(t):
    settings = os.path.join(FOLDER, "settings.json")
    with open(settings, "rb") as file:
        good = file.read()
    kit.write(settings, b"{")
    image, layer = kit.scene()
    try:
        kit.refused(image, [layer], f"The settings in {LINK}/settings.json cannot be read")
    finally:
        kit.write(settings, good)


def case_in_german(t):
    image, layer = kit.scene()
    kit.pictures.settings(language="de")
    kit.refused(image, [layer], "Ein Modell namens „nonsuch“ gibt es nicht.", model="nonsuch")
    kit.refused(image, [], "Keine Ebene ist ausgewählt.")
    assert kit.harmonize(image, layer).get_name() == "pasted (harmonisiert)"


def case_the_model_that_is_set(t):
    """A caller's model is used, or else the one from the settings."""
    image, layer = kit.scene()
    kit.pictures.settings(model="nonsuch")
    kit.refused(image, [layer], "nonsuch")
    kit.harmonize(image, layer, model="statistics")


def case_no_copies_are_left(t):
    image, layer = kit.scene()
    kit.harmonize(image, layer)
    kit.call(image, [layer], model="nonsuch")
    assert [one.get_id() for one in Gimp.get_images()] == [image.get_id()]


def case_a_layer_of_that_size_but_elsewhere(t):
    """With two images open, the other one does not change."""
    other, beside = kit.scene(rect=(2, 2, *OBJECT[2:]))
    untouched = kit.state(other)["layers"]
    image, layer = kit.scene()
    kit.harmonize(image, layer)
    kit.same(kit.state(other)["layers"], untouched)
    assert beside.get_visible()
    assert kit.seen(image) != kit.seen(other)
    assert (image.get_width(), image.get_height()) == SIZE
