"""The correction as a filter of the layer's own: it stays editable, and moves and is painted with the layer.

GIMP keeps the filter in files, and its opacity is the strength. Only the selected part is filtered, as with
each filter in GIMP. `gimp:curves` and `gimp:levels` crash GIMP 3.0.4, so neither is used. GIMP 3.2 hides
GEGL's compositors from plug-ins, and with them the only matrix that has offsets.
"""

from __future__ import annotations

from gi.repository import Gimp

from .fit import Fit

NAME = "GLIHamba"
MIXER, MATRIX = "gegl:channel-mixer", "gegl:svg-matrix"
HAVE_OFFSETS = (Gimp.MAJOR_VERSION, Gimp.MINOR_VERSION) < (3, 2)


def own(layer: Gimp.Layer) -> list[Gimp.DrawableFilter]:
    """The layer's filters that this plug-in has added."""
    return [
        one
        for one in layer.get_filters()
        if one.get_name().startswith(NAME) and one.get_operation_name() in (MIXER, MATRIX)
    ]


def remove(layer: Gimp.Layer) -> None:
    for one in own(layer):
        one.delete()


def append(layer: Gimp.Layer, fit: Fit, strength: float) -> Gimp.DrawableFilter:
    """Add the filter above the layer's others; `strength` is its opacity, 0 to 1."""
    operation, values = settings(fit)
    made = Gimp.DrawableFilter.new(layer, operation, NAME)
    set_values(made, values)
    made.set_opacity(strength)
    made.update()
    layer.append_filter(made)
    return made


def change(made: Gimp.DrawableFilter, fit: Fit, strength: float) -> bool:
    """Give a filter other values; returns False if it cannot have them, being of the other operation."""
    operation, values = settings(fit)
    if made.get_operation_name() != operation:
        return False
    set_values(made, values)
    made.set_opacity(strength)
    made.update()
    return True


def set_values(made: Gimp.DrawableFilter, values: dict[str, object]) -> None:
    config = made.get_config()
    for name, value in values.items():
        config.set_property(name, value)


def settings(fit: Fit) -> tuple[str, dict[str, object]]:
    """The GEGL operation and its properties: nine gains by their names, or 4 x 5 numbers in a text."""
    if len(fit.rows[0]) == 3:
        names = [f"{out}{into}-gain" for out in "rgb" for into in "rgb"]
        return MIXER, dict(zip(names, [value for row in fit.rows for value in row], strict=True))
    # GEGL's matrix works on colours multiplied by alpha, so an offset is the factor of the alpha.
    rows = [*((*row, 0.0) for row in fit.rows), (0, 0, 0, 1, 0)]
    return MATRIX, {"values": " ".join(f"{value:.6f}" for row in rows for value in row)}
