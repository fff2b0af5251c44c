"""A host whose pictures are files. The command line uses it where a plugin uses Krita or GIMP.

Integers without a profile are sRGB, and floats without one are linear light with sRGB's primaries. A picture
with another profile is sent as linear floats, so that no colour is clipped, and the result is converted
back to the profile. Gray stays gray. Pixels outside the mask are copied from the composite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyvips

from glihamba import image_files, simple_profile
from glihamba.image_files import Array, BadPicture, Picture
from glihamba.masks import LUMA, FaintMask, coverage_in
from glihamba.simple_profile import SimpleProfile
from glihamba.srgb import linear_to_srgb
from glihamba_client.errors import ClientError, refuse
from glihamba_client.host import Capture, Harmonized, Plane, Progress, at_once
from glihamba_client.window import extent, window
from glihamba_proto import checks, messages
from glihamba_proto.formats import Channels, SampleType, Transfer

_SAMPLES: dict[str, SampleType] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
_CHANNELS: dict[int, Channels] = {1: "gray", 3: "rgb", 4: "rgba"}


class FileHost:
    """One composite file, one mask file, one output file; None if nothing is to be written.

        run(harmonize_layer(FileHost(composite, mask, output), DaemonService()))

    `show` is called with the progress, and `write` with the output's path and bytes. `is_cancelled` says
    whether to stop; Ctrl-C stops by an exception. Warnings are collected in `messages`, and `harmonized` is
    the result.
    """

    def __init__(
        self,
        composite: Path,
        mask: Path,
        output: Path | None = None,
        *,
        show: Callable[[Progress], None] = lambda progress: None,
        write: Callable[[Path, bytes], None] = image_files.replace_file,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.composite, self.mask, self.output = composite, mask, output
        self.messages: list[str] = []
        self.harmonized: Harmonized | None = None
        self._show, self._write, self._is_cancelled = show, write, is_cancelled
        self._picture: Picture | None = None
        self._part: Picture | None = None
        self._mask: Array | None = None
        self._window: tuple[slice, slice] = (slice(None), slice(None))

    @at_once
    def capture(self) -> Capture:
        """Read composite and mask. What is sent is the window around the object.

        Raises ClientError if they cannot be harmonized or if the output cannot hold the result.
        """
        if self.output is not None:
            image_files.check_target(self.output)
        picture = image_files.read(self.composite)
        if self.output is not None:
            self._check_output(self.output, picture)
        for text in picture.notes:
            self.message(text)
        mask = read_mask(self.mask, self.message, picture)
        refuse(checks.same_size(mask.shape[::-1], picture.size))
        box = extent((mask > 0).data.cast("B"), picture.size) or (0, 0, *picture.size)
        left, top, width, height = window(box, picture.size)
        rows, columns = slice(top, top + height), slice(left, left + width)
        self._picture, self._mask, self._window = picture, mask[rows, columns], (rows, columns)
        self._part = replace(picture, pixels=picture.pixels[rows, columns])
        pixels, transfer = to_srgb(self._part)
        return Capture(
            plane(pixels, transfer, (left, top)), plane(self._mask[:, :, None], "srgb", (left, top))
        )

    def _check_output(self, output: Path, picture: Picture) -> None:
        """Refuse an output that cannot hold the result, and say what it would lose. Raises BadPicture."""
        image_files.check_target(output, picture)
        if output.exists() and self.mask.exists() and output.samefile(self.mask):
            raise BadPicture(f"The output would overwrite {self.mask}: choose another name.")
        kept = image_files.kept_type(output, picture.pixels.dtype)
        if kept != picture.pixels.dtype:
            self.message(
                f"{output.suffix} holds {8 * kept.itemsize} bits a channel, so the result is rounded."
            )
        if image_files.is_slow(output, picture):
            self.message(messages.text("FILES.WEBP_SLOW", "en"))

    @at_once
    def deliver(self, harmonized: Harmonized) -> None:
        """Write the output. Raises ClientError and leaves an old file as it was if that fails."""
        assert self.output is not None
        assert self._picture is not None
        assert self._part is not None
        assert self._mask is not None
        picture = self._picture
        result = from_srgb(array(harmonized.plane), self._part)
        colours = result.shape[2]
        pixels = picture.pixels.copy()
        np.copyto(pixels[self._window][:, :, :colours], result, where=(self._mask > 0)[:, :, None])
        self._write(self.output, image_files.encoded(self.output, pixels, picture))
        self.harmonized = harmonized

    def progress(self, progress: Progress) -> None:
        self._show(progress)

    def cancelled(self) -> bool:
        return self._is_cancelled()

    def message(self, text: str, failed: bool = False) -> None:
        self.messages.append(text)


def plane(pixels: Array, transfer: Transfer, offset: tuple[int, int] = (0, 0)) -> Plane:
    """Return (H, W, C) pixels as a plane whose top left pixel is at `offset` (x, y) in the picture.

    C: 1, 3 or 4; uint8, uint16 or float32. The plane shares the memory of little-endian contiguous pixels.
    """
    height, width, channels = pixels.shape
    contiguous = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    samples = _SAMPLES[pixels.dtype.name]
    data = contiguous.data.cast("B")
    return Plane(width, height, samples, _CHANNELS[channels], data, offset, transfer)


def array(plane: Plane) -> Array:
    """Return a plane's pixels as an (H, W, C) array that shares its memory."""
    dtype = np.dtype(plane.sample_type).newbyteorder("<")
    return np.frombuffer(plane.data, dtype).reshape(plane.height, plane.width, -1)


def read_mask(
    path: Path, note: Callable[[str], None] = lambda text: None, composite: Picture | None = None
) -> Array:
    """Return the object's coverage (H, W), uint8, uint16 or float32; see `masks.coverage_in`.

    `note` is told what a person should know of it, also whether it may be turned unlike its `composite`.
    Raises BadPicture for a file that cannot be read, and ClientError EMPTY_MASK for a faint mask.
    """
    picture = image_files.read(path)
    if composite is not None and _may_be_turned(composite, picture):
        note(
            f"{composite.path} and {path} are turned differently by their cameras' tags: "
            "if another place than the object changes, turn the mask."
        )
    try:
        return coverage_in(_without_other(picture), str(path), note)
    except FaintMask as error:
        raise ClientError("EMPTY_MASK", str(error)) from None


def _may_be_turned(composite: Picture, mask: Picture) -> bool:
    """Whether the two are turned differently in a way that their sizes do not show."""
    width, height = composite.size
    swaps_sides = (composite.orientation > 4) != (mask.orientation > 4)
    return composite.orientation != mask.orientation and (not swaps_sides or width == height)


def _without_other(picture: Picture) -> Array:
    """The pixels without a last channel that is no alpha."""
    return picture.pixels[:, :, :-1] if picture.has_other_channel else picture.pixels


def to_srgb(picture: Picture) -> tuple[Array, Transfer]:
    """Return the pixels to send, (H, W, 3 or 4) with sRGB's primaries, and their transfer function."""
    pixels = _without_other(picture)
    form = _form(picture)
    if form != "convert":
        return image_files.gray_to_rgb(pixels) if picture.is_gray else pixels, form
    count = 1 if picture.is_gray else 3
    alpha = image_files.rescaled(pixels[:, :, count:], np.float32)
    return np.concatenate([_imported(pixels[:, :, :count], picture), alpha], axis=2), "linear"


def from_srgb(result: Array, picture: Picture) -> Array:
    """Return the result's colours, (H, W, 1 or 3) without alpha, in the file's profile and sample type.

    result: (H, W, 3 or 4), encoded as `to_srgb` encodes the picture.
    """
    colours = result[:, :, :3]
    if _form(picture) == "convert":
        # Converting there and back has an error of up to 0.3 % of a dark value, which is subtracted.
        own = picture.pixels[:, :, : 1 if picture.is_gray else 3]
        change = _exported(colours, picture) - _exported(to_srgb(picture)[0][:, :, :3], picture)
        if own.dtype == np.float32:
            return own + change
        return np.clip(own + change, 0, np.iinfo(own.dtype).max).astype(own.dtype)
    if not picture.is_gray:
        return colours
    luma = colours.astype(np.float32) @ LUMA
    gray = luma if colours.dtype == np.float32 else np.rint(luma)
    return gray.astype(colours.dtype)[:, :, None]


def _imported(colours: Array, picture: Picture) -> Array:
    """Convert (H, W, 1 or 3) colours in the file's profile to linear sRGB, float32 and unclipped."""
    if simple := _simple(picture):
        return simple.to_srgb(image_files.rescaled(colours, np.float32))
    return _linear(_vips(colours, "rgb16" if colours.dtype == np.uint16 else "srgb", picture.profile))


def _exported(colours: Array, picture: Picture) -> Array:
    """Convert linear sRGB to the file's profile: float32, or int32 from 0 to the integers' full scale."""
    if simple := _simple(picture):
        found = simple.from_srgb(colours, LUMA)
        if picture.pixels.dtype == np.float32:
            return found
        return image_files.rescaled(found, picture.pixels.dtype).astype(np.int32)
    xyz = _vips(colours, "scrgb", picture.profile).colourspace("xyz")
    own: Array = xyz.icc_export(pcs="xyz", depth=8 * picture.pixels.dtype.itemsize, intent="relative").numpy()
    return own.astype(np.int32)


def _simple(picture: Picture) -> SimpleProfile | None:
    """The profile of gray or of floats, which libvips would round; None where libvips converts."""
    if not picture.is_gray and picture.pixels.dtype != np.float32:
        return None
    return simple_profile.parsed(picture.profile)


def _form(picture: Picture) -> Literal["srgb", "linear", "convert"]:
    """Say how the file's values are encoded: as sRGB, as linear sRGB, or in a profile to convert from.

    Raises BadPicture for a profile that cannot be used.
    """
    is_float = picture.pixels.dtype == np.float32
    if not picture.profile:
        return "linear" if is_float else "srgb"
    if picture.is_gray and simple_profile.space_of(picture.profile) == "rgb":
        return "srgb"  # some programs give gray the profile that its colours would have had
    value, linear = _probed(picture)
    if np.abs(linear_to_srgb(linear) - value).max() < 1.5 / 255:
        return "srgb"
    if is_float and np.abs(linear - value).max() < 1e-3:
        return "linear"
    if _simple(picture) is None:
        if is_float:
            raise _no_simple_profile(picture)
        try:
            _exported(linear, picture)
        except pyvips.Error as error:  # the profiles of scanners and cameras can only be read
            raise BadPicture(
                f"{picture.path} has a colour profile that can be read but not written: "
                "convert it to sRGB first."
            ) from error
    return "convert"


def _probed(picture: Picture) -> tuple[Array, Array]:
    """Values all over the range, and the linear sRGB that the file's profile makes of them.

    Both are float32, (H, W, 1 or 3) and (H, W, 3). Raises BadPicture for a profile that cannot be used.
    """
    steps = np.linspace(0, 65535, 7).astype(np.uint16)
    if picture.is_gray:
        probe = np.linspace(0, 65535, 33).astype(np.uint16).reshape(1, -1, 1)
    else:
        probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(7, 49, 3)
    value = probe.astype(np.float32) / 65535
    if simple := _simple(picture):
        return value, simple.to_srgb(value)
    if picture.is_gray:
        raise _no_simple_profile(picture)
    try:
        return value, _linear(_vips(probe, "rgb16", picture.profile))
    except pyvips.Error as error:
        raise BadPicture(
            f"{picture.path} has a colour profile that does not fit its pixels: assign the right one first."
        ) from error


def _no_simple_profile(picture: Picture) -> BadPicture:
    kind = "gray" if picture.is_gray else "floats"
    return BadPicture(
        f"{picture.path} holds {kind} in a colour profile that is not made of curves and a matrix: "
        "convert it to sRGB or to linear light first."
    )


def _linear(image: pyvips.Image) -> Array:
    """Return an image's pixels as linear light with sRGB's primaries, float32 and unclipped."""
    xyz = image.icc_import(embedded=True, pcs="xyz", intent="relative")
    linear: Array = xyz.colourspace("scrgb").numpy()
    return linear.astype(np.float32, copy=False)


def _vips(pixels: Array, interpretation: str, profile: bytes) -> pyvips.Image:
    height, width, bands = pixels.shape
    form = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[pixels.dtype.name]
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).data, width, height, bands, form)
    image = image.copy(interpretation=interpretation)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image
