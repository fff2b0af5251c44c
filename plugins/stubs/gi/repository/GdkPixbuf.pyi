from enum import IntEnum

from gi.repository import GLib

class Colorspace(IntEnum):
    RGB = 0

class InterpType(IntEnum):
    BILINEAR = 2

class Pixbuf:
    @staticmethod
    def new_from_bytes(
        data: GLib.Bytes,
        colorspace: Colorspace,
        has_alpha: bool,
        bits_per_sample: int,
        width: int,
        height: int,
        rowstride: int,
    ) -> Pixbuf: ...
    def new_subpixbuf(self, src_x: int, src_y: int, width: int, height: int) -> Pixbuf: ...
    def scale_simple(self, dest_width: int, dest_height: int, interp_type: InterpType) -> Pixbuf: ...
