"""What is known of a layer from its reading on until its result is added."""

from __future__ import annotations

from typing import NamedTuple

from glihamba_client.window import Rect

from .chosen import Place
from .edges import Edge
from .pixels import Form


class Seen(NamedTuple):
    """What the delivery needs to know of the layer as it was read."""

    place: Place
    form: Form
    """How pixels were sent."""
    rect: Rect
    """The rectangle of the image that comes back harmonized."""
    selected: bytes
    """The selection's coverage of `rect`, one byte a pixel; empty when nothing was selected."""
    edge: Edge | None
    """The object's rim, if it shall be cleaned up."""
