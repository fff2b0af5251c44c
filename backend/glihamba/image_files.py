"""Read and write picture files at full depth, with their colour profile and metadata.

The formats are PNG, JPEG, TIFF and WebP, and AVIF for reading. Pictures are gray or RGB, with or without
alpha, in 8 bits, 16 bits or float (TIFF). CMYK, Lab, several pages and animations raise BadPicture.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("VIPS_WARNING", "0")  # any value silences libvips' warnings, and failures still raise
import pyvips

from glihamba import other_files, picture_metadata, settings, simple_profile
from glihamba.picture_metadata import Extra
from glihamba.srgb import linear_to_srgb
from glihamba_client.errors import ClientError
from glihamba_proto.files import NO_FILE, open_regular, replacing

# pyvips passes libvips' log to Python's logging in a callback. A Ctrl-C during the callback would be lost.
pyvips._remove_log_handler()

Array = np.ndarray[Any, np.dtype[Any]]
JPEG_QUALITY = 95
_SLOW_PIXELS = 2_000_000
_NOT_READ = ("not configured", "nsupported", "not supported", "not implemented", "Sorry, can not handle")
_HEAD = 64  # bytes that tell a picture from something else, which is not loaded

_MAGIC = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"RIFF": "webp",
}
_SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jfif": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
SUFFIXES = tuple(_SUFFIXES)  # of what is written
READ_SUFFIXES = (*SUFFIXES, ".avif")
_READS_AVIF = bool(pyvips.type_find("VipsOperation", "heifload_buffer"))
_SIDE_LIMIT = {"png": 2**31 - 1, "jpeg": 65535, "tiff": 2**31 - 1, "webp": 16383}
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float32}
_KEPT = ("exif-", "xmp-", "iptc-", "icc-profile-data", "resolution-unit", "photoshop-data")


class BadPicture(ClientError):
    """A file cannot be read or written. The sentence names the file and says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__("BAD_FILE", sentence)


@dataclass(frozen=True)
class Picture:
    """A picture as its file holds it.

    pixels: (H, W, C), C from 1 to 4, uint8, uint16 or float32. An alpha channel comes last and is straight.
        The values are the file's own; the picture is rotated as its orientation says.
    profile: the ICC profile of the values, or empty.
    header: the pyvips image with EXIF, XMP, IPTC and the resolution.
    orientation: how the file says that it is to be turned, 1 to 8; 1: as it is.
    has_other_channel: what comes last is no alpha, but a saved selection or infrared light; it is kept.
    notes: what a person should know of the file.
    extra: what the file holds beside what `header` has.
    """

    path: Path
    pixels: Array
    profile: bytes
    header: Any
    orientation: int = 1
    has_other_channel: bool = False
    notes: tuple[str, ...] = ()
    extra: Extra = picture_metadata.NOTHING

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4) and not self.has_other_channel

    @property
    def is_gray(self) -> bool:
        return self.pixels.shape[2] < 3


def read(path: Path) -> Picture:
    """Return the picture in `path`.

    Raises BadPicture, and ClientError with TOO_LARGE or OUT_OF_MEMORY.
    """
    data, kind = _loaded(path)
    tags = other_files.tags_of(data) if kind == "tiff" else None
    if tags is not None and tags.is_raw:
        raise BadPicture(f"{path} is a camera's raw file, or the preview in one: develop it first.")
    if kind == "png" and other_files.is_animated_png(data):
        raise BadPicture(f"{path} is animated: save the frame that you mean as a file of its own.")
    try:
        image = getattr(pyvips.Image, f"{kind}load_buffer")(data, fail_on="error")
        _refuse_unsupported(image, path)
        _refuse_oversized(image, path)
        turned = image.autorot()
        pixels = turned.numpy()
    except pyvips.Error as error:
        raise _unreadable(path, error, tags) from error
    if kind == "heif" and not turned.get_typeof("icc-profile-data"):
        _refuse_other_light(data, path)
    pixels = pixels.reshape(turned.height, turned.width, turned.bands).astype(
        _TYPES[turned.format], copy=False
    )
    profile = turned.get("icc-profile-data") if turned.get_typeof("icc-profile-data") else b""
    has_other = tags is not None and tags.has_other_channel
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    notes, extra = _notes(path, data, kind, has_other), picture_metadata.read(data, kind)
    return Picture(path, pixels, profile, turned, orientation, has_other, notes, extra)


def _loaded(path: Path) -> tuple[bytes, str]:
    """The bytes of a picture file, and its format. Raises BadPicture before it loads anything else."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
            kind = _kind_of(head)
            data = head + file.read() if kind else head
    except FileNotFoundError:
        raise BadPicture(f"There is no file {path}: check the name.") from None
    except OSError as error:
        if path.is_dir():
            raise BadPicture(f"{path} is a folder: name a picture in it.") from None
        if error.strerror == NO_FILE:
            raise BadPicture(f"{path} is a pipe or a device: save the picture as a file.") from None
        raise BadPicture(
            f"{path} cannot be read ({error.strerror or error}): correct its permissions, or copy it."
        ) from error
    if not data:
        raise BadPicture(f"{path} is empty (0 bytes): get a whole copy of it.")
    if not kind:
        if other := other_files.what_is(head):
            raise BadPicture(f"{path} is {other.what}: {other.remedy}.")
        raise BadPicture(
            f"{path} is not a PNG, JPEG, TIFF, WebP or AVIF picture: convert it to one of these."
        )
    return data, kind


def _unreadable(path: Path, error: pyvips.Error, tags: other_files.Tags | None) -> ClientError:
    """What libvips refuses: what is too large for memory, of a kind that is not read, or damaged."""
    if "out of memory" in str(error):
        return ClientError("OUT_OF_MEMORY")
    reason = " ".join(str(error).split("\n")[1].split()) if "\n" in str(error) else str(error)
    if any(mark in reason for mark in _NOT_READ):
        how = (
            f"compression {other_files.compression_name(tags.compression)}, {tags.bits} bits" if tags else ""
        )
        return BadPicture(
            f"{path} is of a kind that cannot be read ({how or reason}): "
            "save it with 8 or 16 bits, and with LZW, Deflate or no compression."
        )
    return BadPicture(f"{path} is damaged or cut short ({reason}): get a whole copy of it.")


def _notes(path: Path, data: bytes, kind: str, has_other_channel: bool) -> tuple[str, ...]:
    """What a person should know of a picture that was read."""
    found = []
    if has_other_channel:
        what = f"The last channel of {path} is no transparency (a saved selection, say)"
        found.append(f"{what}: it is left out.")
    if kind == "jpeg" and (more := other_files.second_picture(data)):
        found.append(f"{path} also holds {more}: the first picture is harmonized, and the rest is left out.")
    return tuple(found)


def _kind_of(head: bytes) -> str:
    """The format of a file by its first bytes; empty for none of ours."""
    if _READS_AVIF and other_files.is_avif(head):
        return "heif"
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    return "" if kind == "webp" and head[8:12] != b"WEBP" else kind


def _refuse_other_light(data: bytes, path: Path) -> None:
    """Refuse an AVIF without a profile whose numbers say that its colours are not sRGB's."""
    light = other_files.light_of(data)
    if light is not None and not light.is_srgb:
        raise BadPicture(
            f"{path} has its colours described by numbers (primaries {light.primaries}, transfer "
            f"{light.transfer}) that are not sRGB's: export it as PNG or TIFF with a profile first."
        )


def output_name(composite: Path) -> str:
    """How the result of a composite is called in a folder of results; it keeps its format if we write it."""
    is_written = composite.suffix.lower() in _SUFFIXES
    return composite.name if is_written else f"{composite.name}.png"


def check_target(path: Path, picture: Picture | None = None) -> None:
    """Raise BadPicture if `path` cannot be written, or if its format cannot hold `picture`."""
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise BadPicture(f"{path} does not end in {', '.join(SUFFIXES)}: name the output after its format.")
    if not path.parent.is_dir():
        raise BadPicture(f"There is no folder {path.parent}: make it first, or choose another output.")
    if path.is_dir():
        raise BadPicture(f"{path} is a folder: name a file for the output.")
    if picture is None:
        return
    if path.exists() and path.samefile(picture.path):
        raise BadPicture(f"The output would overwrite {path}: choose another name.")
    if max(picture.size) > _SIDE_LIMIT[kind]:
        limit = _SIDE_LIMIT[kind]
        raise BadPicture(f"{path} can be at most {limit} pixels a side: choose .png or .tif for the output.")
    if kind == "jpeg" and picture.has_alpha and not _opaque(picture.pixels):
        raise BadPicture(f"{path} cannot hold transparency: choose .png, .tif or .webp for the output.")


def kept_type(path: Path, dtype: Any) -> Any:
    """Return the sample type that the file format of `path` keeps, at most as deep as `dtype`."""
    kind = _SUFFIXES[path.suffix.lower()]
    if kind in ("jpeg", "webp"):
        return np.dtype(np.uint8)
    return np.dtype(np.uint16) if kind == "png" and dtype == np.float32 else np.dtype(dtype)


def is_slow(path: Path, picture: Picture) -> bool:
    """Say whether encoding `picture` for `path` takes so long that a person should know why.

    libvips takes about a second a megapixel for lossless WebP, and a twentieth of that for PNG.
    """
    width, height = picture.size
    return _SUFFIXES[path.suffix.lower()] == "webp" and width * height >= _SLOW_PIXELS


def write(path: Path, pixels: Array, like: Picture) -> None:
    """Write the pixels with the profile and the metadata of `like`: `encoded`, then `replace_file`."""
    replace_file(path, encoded(path, pixels, like))


def encoded(path: Path, pixels: Array, like: Picture) -> bytes:
    """Return a file's bytes in the format of `path`, with the profile and the metadata of `like`.

    pixels: shaped as `like.pixels`, uint8, uint16 or float32. JPEG has quality 95 and no chroma subsampling;
    the other formats are lossless. Raises BadPicture.
    """
    kind = _SUFFIXES[path.suffix.lower()]
    profile = like.profile
    pixels = pixels[:, :, :-1] if like.has_other_channel else pixels
    pixels = rescaled(pixels, kept_type(path, pixels.dtype), encode=not profile)
    if kind == "jpeg" and like.has_alpha:
        pixels = pixels[:, :, :-1]
    if kind == "webp" and pixels.shape[2] < 3:
        pixels, profile = _gray_in_srgb(pixels, profile), b""
    image = _with_header(np.ascontiguousarray(pixels), like, profile)
    options: dict[str, dict[str, Any]] = {
        # A filtered row deflates better at level 3 than an unfiltered one at level 6, and sooner.
        "png": {"bitdepth": 16 if pixels.dtype == np.uint16 else 8, "compression": 3, "filter": "sub"},
        # Huffman tables of its own would take four times as long and save a few per cent.
        "jpeg": {"Q": JPEG_QUALITY, "subsample_mode": "off", "optimize_coding": False},
        "webp": {"lossless": True, "exact": True},
        "tiff": {
            "compression": "deflate",
            "predictor": "float" if pixels.dtype == np.float32 else "horizontal",
            "bigtiff": pixels.nbytes > 2**31,
        },
    }
    try:
        data: bytes = getattr(image, f"{kind}save_buffer")(**options[kind])
    except pyvips.Error as error:
        raise BadPicture(f"{path} could not be written: {' '.join(str(error).split())}.") from error
    exif, iptc = (image.get(name) if image.get_typeof(name) else b"" for name in ("exif-data", "iptc-data"))
    return picture_metadata.completed(data, kind, like.extra, exif, iptc)


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`. A failure leaves the old file as it was. Raises BadPicture."""
    target = Path(os.path.realpath(path))
    try:
        with replacing(target) as part:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                part.chmod(target.stat().st_mode & 0o777)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
        cause = "there is not enough room on the disk" if full else error.strerror or str(error)
        remedy = "make some room" if full else "choose another place"
        raise BadPicture(f"{path} was not written, and nothing was lost: {cause}; {remedy}.") from error


def rescaled(pixels: Array, dtype: Any, *, encode: bool = False) -> Array:
    """Convert pixels to another sample type, full scale to full scale, rounded to the nearest value.

    pixels, dtype: uint8 (0 to 255), uint16 (0 to 65535) or float32 (0 to 1; clipped for integers).
    encode: the floats are linear light, which is sRGB-encoded for integers.
    """
    if pixels.dtype == dtype:
        return pixels
    full = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}
    value = pixels.astype(np.float32) / np.float32(full[pixels.dtype])
    if pixels.dtype == np.float32 and encode:
        value = linear_to_srgb(value)
    if dtype == np.float32:
        return value
    scaled: Array = np.rint(np.clip(value, 0, 1) * np.float32(full[np.dtype(dtype)])).astype(dtype)
    return scaled


def gray_to_rgb(pixels: Array) -> Array:
    """Convert gray (H, W, 1) to RGB (H, W, 3), and gray with alpha (H, W, 2) to (H, W, 4)."""
    return np.concatenate([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]], axis=2)


def _gray_in_srgb(pixels: Array, profile: bytes) -> Array:
    """Gray (H, W, 1 or 2), in its profile if it has one, as sRGB (H, W, 3 or 4) of the same type."""
    simple = simple_profile.parsed(profile) if simple_profile.space_of(profile) == "gray" else None
    if simple is None:
        return gray_to_rgb(pixels)
    linear = simple.to_srgb(rescaled(pixels[:, :, :1], np.float32))
    return np.concatenate([rescaled(linear, pixels.dtype, encode=True), pixels[:, :, 1:]], axis=2)


def _refuse_unsupported(image: Any, path: Path) -> None:
    if image.interpretation == "cmyk":
        raise BadPicture(f"{path} is a CMYK picture: convert it to RGB first.")
    if image.interpretation in ("lab", "labs", "labq") or image.bands > 4:
        raise BadPicture(f"{path} is neither gray nor RGB: convert it to RGB first.")
    if image.format not in _TYPES:
        raise BadPicture(f"{path} has {image.format} samples: convert it to 8 bits, 16 bits or float.")
    if image.get_n_pages() > 1:
        raise BadPicture(
            f"{path} has {image.get_n_pages()} pages: save the one you mean as a file of its own."
        )


def _refuse_oversized(image: Any, path: Path) -> None:
    """Refuse a picture before it is decoded, because a small file may hold more pixels than memory does."""
    limit = settings.in_force().pixel_limit
    if image.width * image.height > limit:
        raise ClientError(
            "TOO_LARGE",
            f"{path} has {image.width} x {image.height} pixels, but at most {limit:,} are allowed: "
            "make it smaller, or raise GLIHAMBA_PIXEL_LIMIT and run `glihamba stop`.",
        )


def _opaque(pixels: Array) -> bool:
    full = 1.0 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    return bool((pixels[:, :, -1] >= full).all())


def _with_header(pixels: Array, like: Picture, profile: bytes) -> Any:
    header = like.header
    height, width, bands = pixels.shape
    names = {
        "uint8": ("uchar", "b-w", "srgb"),
        "uint16": ("ushort", "grey16", "rgb16"),
        "float32": ("float", "b-w", "scrgb"),
    }
    form, gray, colour = names[pixels.dtype.name]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, form)
    image = image.copy(interpretation=gray if bands < 3 else colour, xres=header.xres, yres=header.yres)
    for name in header.get_fields():
        if name.startswith(_KEPT) and name != "icc-profile-data":
            image.set_type(header.get_typeof(name), name, header.get(name))
    for name, value in picture_metadata.fields(like.extra).items():
        image.set_type(pyvips.GValue.blob_type, name, value)
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)  # the EXIF block still has the old one
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image
