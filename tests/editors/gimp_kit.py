"""What every case in GIMP needs: images made of bytes, the procedure as scripts call it, comparisons."""

import json  # noqa: F401
import os
import time

import pictures
from gi.repository import Babl, Gegl, Gimp, Gio
from pictures import OBJECT, SIZE, same, swapped, unchanged_outside, write, write_png  # noqa: F401

PROCEDURE = "plug-in-harmonize-selection"
LIMIT = 300  # seconds after which a condition counts as never true
SUCCESS, CANCEL, FAILED = (
    Gimp.PDBStatusType.SUCCESS,
    Gimp.PDBStatusType.CANCEL,
    Gimp.PDBStatusType.EXECUTION_ERROR,
)
RGB, GRAY, INDEXED = Gimp.ImageBaseType.RGB, Gimp.ImageBaseType.GRAY, Gimp.ImageBaseType.INDEXED
U8 = Gimp.Precision.U8_NON_LINEAR


def scene_bytes(width, height):
    return swapped(pictures.scene_bytes(width, height))


def object_bytes(width, height, soft=4):
    return swapped(pictures.object_bytes(width, height, soft))


def new(size=SIZE, base=RGB, precision=U8, profile=None):
    image = Gimp.Image.new_with_precision(*size, base, precision)
    if profile is not None:
        assert image.set_color_profile(profile)
    return image


def put(drawable, raw, rect=None, form="R'G'B'A u8"):
    """Write pixels to a drawable, by default to all of it. `rect` is in its own coordinates."""
    rect = rect or (0, 0, drawable.get_width(), drawable.get_height())
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(*rect), form, raw)
    buffer.flush()
    drawable.update(*rect)


def get(drawable, rect=None, form=None):
    """A drawable's pixels, by default in its own format."""
    rect = rect or (0, 0, drawable.get_width(), drawable.get_height())
    form = form or Babl.get_name(drawable.get_format())
    return bytes(drawable.get_buffer().get(Gegl.Rectangle.new(*rect), 1.0, form, Gegl.AbyssPolicy.NONE))


def paint(image, name, raw, rect, parent=None, alpha=True, form="R'G'B'A u8"):
    """Add a layer on top, with pixels given in `form`."""
    left, top, width, height = rect
    gray = image.get_base_type() == GRAY
    kind = {
        (False, False): Gimp.ImageType.RGB_IMAGE,
        (False, True): Gimp.ImageType.RGBA_IMAGE,
        (True, False): Gimp.ImageType.GRAY_IMAGE,
        (True, True): Gimp.ImageType.GRAYA_IMAGE,
    }[gray, alpha]
    layer = Gimp.Layer.new(image, name, width, height, kind, 100, Gimp.LayerMode.NORMAL)
    put(layer, raw, form=form)
    assert image.insert_layer(layer, parent, 0)
    layer.set_offsets(left, top)
    return layer


def scene(soft=4, rect=OBJECT, size=SIZE, **how):
    """An image with a scene, and the object on a selected layer of its own; (image, layer)."""
    image = new(size, **how)
    paint(image, "scene", scene_bytes(*size), (0, 0, *size), alpha=False)
    layer = paint(image, "pasted", object_bytes(rect[2], rect[3], soft), rect)
    image.set_selected_layers([layer])
    return image, layer


def large(width, height, rect=None):
    """A scene with grain, and an object on `rect`, else in the middle on a quarter of it; (image, layer)."""
    image = new((width, height))
    paint(image, "scene", pictures.large_scene_bytes(width, height), (0, 0, width, height), alpha=False)
    rect = rect or (width // 4, height // 4, width // 2, height // 2)
    layer = paint(image, "pasted", pictures.large_object_bytes(*rect[2:]), rect)
    image.set_selected_layers([layer])
    return image, layer


def call(image, drawables, mode=Gimp.RunMode.NONINTERACTIVE, **arguments):
    """The procedure, as a script calls it: (status, new layer, what was said)."""
    procedure = Gimp.get_pdb().lookup_procedure(PROCEDURE)
    config = procedure.create_config()
    config.set_property("run-mode", mode)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    for name, value in arguments.items():
        config.set_property(name, value)
    values = procedure.run(config)
    status = values.index(0)
    added = values.index(1) if status == SUCCESS else None
    return status, added, Gimp.get_pdb().get_last_error()


def harmonize(image, layer, **arguments):
    """Return the new group of the result and the layer. Fails if there is none."""
    status, added, said = call(image, [layer], **arguments)
    assert status == SUCCESS, (status, said)
    return added


def result(group):
    """The result in its group."""
    found, _ = group.get_children()
    return found


def ungroup(image, group):
    """Leave the layer as it was before."""
    _, layer = group.get_children()
    assert image.reorder_item(layer, group.get_parent(), image.get_item_position(group))
    image.remove_layer(group)
    image.set_selected_layers([layer])


def refused(image, drawables, words, **arguments):
    """Check that the procedure refuses with these words, and that nothing has changed."""
    before = state(image)
    status, _, said = call(image, drawables, **arguments)
    assert status == FAILED, (status, said)
    assert words in said, said
    same(state(image), before)


def seen(image, form=None):
    """The picture on screen, whole, in the image's own format."""
    layer = Gimp.Layer.new_from_visible(image, image, "seen")
    raw = get(layer, (0, 0, image.get_width(), image.get_height()), form)
    layer.delete()
    return raw


def all_layers(image):
    todo, found = list(image.get_layers()), []
    while todo:
        layer = todo.pop(0)
        found.append(layer)
        todo[:0] = list(layer.get_children()) if layer.is_group() else []
    return found


def describe(layer):
    """Everything a person could see of a layer."""
    mask = layer.get_mask()
    return {
        "name": layer.get_name(),
        "id": layer.get_id(),
        "parent": layer.get_parent().get_name() if layer.get_parent() else "",
        "size": (layer.get_width(), layer.get_height()),
        "offsets": tuple(layer.get_offsets()[1:]),
        "visible": layer.get_visible(),
        "opacity": layer.get_opacity(),
        "mode": int(layer.get_mode()),
        "locks": (layer.get_lock_content(), layer.get_lock_position(), layer.get_lock_visibility()),
        "mask": get(mask) if mask else b"",
        "filters": [f.get_operation_name() for f in layer.get_filters()],
        "pixels": get(layer),
    }


def state(image):
    """Everything in an image that the plug-in could change."""
    return {
        "layers": [describe(layer) for layer in all_layers(image)],
        "chosen": [layer.get_id() for layer in image.get_selected_layers()],
        "selection": get(image.get_selection()),
        "size": (image.get_width(), image.get_height()),
        "images": len(Gimp.get_images()),
    }


def layer(image, name):
    """The first layer of that name, or nothing."""
    return next((found for found in all_layers(image) if found.get_name() == name), None)


def path(name):
    return os.path.join(os.environ["GLIHAMBA_TEST_FOLDER"], name)


def meanwhile(code):
    """Let the other plug-in run `code` as soon as the daemon holds the job."""
    if os.path.exists(path("meanwhile.done")):
        os.remove(path("meanwhile.done"))
    with open(path("meanwhile.part"), "w") as file:
        file.write(code)
    os.replace(path("meanwhile.part"), path("meanwhile.py"))


def happened():
    """Wait until that code has run, and check that it did not fail."""
    until(lambda: os.path.exists(path("meanwhile.done")))
    with open(path("meanwhile.done")) as file:
        error = file.read()
    assert not error, error


def until(condition):
    """Wait until the condition is true, and return its value. The limit is long for busy machines."""
    deadline = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def export(image, name):
    """A file, as File > Export writes it."""
    file = Gio.File.new_for_path(path(name))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)


def delete_all():
    for image in Gimp.get_images():
        image.delete()
