"""From the stream's messages to arrays: every rule of the contract is checked here, in one place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from glihamba import __version__
from glihamba.engine.request import Pixels, Request
from glihamba.errors import BadRequest, ClientTooNew, OutOfMemory, SizeMismatch, TooLarge
from glihamba.settings import PROTOCOL
from glihamba_proto import harmonizer_pb2 as pb

SAMPLES: dict[int, np.dtype[Any]] = {
    pb.Plane.UINT8: np.dtype("<u1"),
    pb.Plane.UINT16: np.dtype("<u2"),
    pb.Plane.FLOAT32: np.dtype("<f4"),
}
CHANNELS = {pb.Plane.GRAY: 1, pb.Plane.RGB: 3, pb.Plane.RGBA: 4, pb.Plane.BGRA: 4, pb.Plane.BGR: 3}
BLUE_FIRST = (pb.Plane.BGR, pb.Plane.BGRA)
NAMES = {pb.Plane.COMPOSITE: "composite", pb.Plane.MASK: "mask", pb.Plane.FOREGROUND: "foreground"}


def check_start(start: pb.Start, pixel_limit: int) -> None:
    """Raises the HarmonizeError that says what is wrong with the job's description, if anything is."""
    if start.protocol > PROTOCOL:
        raise ClientTooNew(
            f"This client speaks protocol {start.protocol}, the daemon ({__version__}) only {PROTOCOL}: "
            "update the daemon by running the newer install.py."
        )
    if start.HasField("strength") and not 0 <= start.strength <= 1:  # NaN too
        raise BadRequest(f"The strength must be from 0 to 1, but is {start.strength:g}.")
    for plane in start.planes:
        _check_plane(plane, pixel_limit)
    roles = [plane.role for plane in start.planes]
    for role, least in ((pb.Plane.COMPOSITE, 1), (pb.Plane.MASK, 1), (pb.Plane.FOREGROUND, 0)):
        count = roles.count(role)
        if not least <= count <= 1:
            wanted = "exactly one" if least else "at most one"
            raise BadRequest(f"A job has {wanted} {NAMES[role]} plane, but this one has {count or 'none'}.")
    _check_together({plane.role: plane for plane in start.planes})


def _check_plane(plane: pb.Plane, pixel_limit: int) -> None:
    if plane.role not in NAMES:
        raise BadRequest(f"A plane's role must be composite, mask or foreground, but is number {plane.role}.")
    name = NAMES[plane.role]
    if plane.sample_type not in SAMPLES:
        raise BadRequest(
            f"The {name}'s sample type must be uint8, uint16 or float32, but is number {plane.sample_type}."
        )
    is_mask = plane.role == pb.Plane.MASK
    if plane.channels not in CHANNELS or (CHANNELS[plane.channels] == 1) != is_mask:
        wanted = "GRAY" if is_mask else "RGB, RGBA, BGR or BGRA"
        raise BadRequest(
            f"The {name}'s channels must be {wanted}, but are {_named(pb.Plane.Channels, plane.channels)}."
        )
    if plane.alpha == pb.Plane.PREMULTIPLIED:
        raise BadRequest(f"The {name} is premultiplied by its alpha: send straight (unassociated) alpha.")
    if plane.alpha not in pb.Plane.Alpha.values():
        raise BadRequest(f"The {name}'s alpha must be straight, but is number {plane.alpha}.")
    if plane.transfer not in pb.Plane.Transfer.values():
        raise BadRequest(
            f"The {name}'s transfer function must be sRGB or linear, but is number {plane.transfer}."
        )
    if plane.icc_profile:
        raise BadRequest(
            f"The {name} carries an ICC profile: convert it to sRGB primaries first and send none."
        )
    if not (plane.width and plane.height):
        raise BadRequest(f"The {name} has no pixels ({plane.width} x {plane.height}).")
    if plane.width * plane.height > pixel_limit:
        raise TooLarge(
            f"The {name} has {plane.width} x {plane.height} pixels, but at most {pixel_limit:,} are taken: "
            "harmonize a smaller picture, or raise GLIHAMBA_PIXEL_LIMIT."
        )


def _check_together(planes: dict[int, pb.Plane]) -> None:
    composite, mask = planes[pb.Plane.COMPOSITE], planes[pb.Plane.MASK]
    if (composite.width, composite.height) != (mask.width, mask.height):
        raise SizeMismatch(
            f"The mask is {mask.width} x {mask.height} pixels and the composite {composite.width} x "
            f"{composite.height}: send a mask of the composite's size."
        )
    if (composite.offset_x, composite.offset_y) != (mask.offset_x, mask.offset_y):
        raise BadRequest("The mask and the composite begin at different places: give them the same offset.")
    foreground = planes.get(pb.Plane.FOREGROUND)
    if foreground and transfer_of(foreground) != transfer_of(composite):
        raise BadRequest("The foreground and the composite must have the same transfer function.")


def transfer_of(plane: pb.Plane) -> str:
    return "linear" if plane.transfer == pb.Plane.LINEAR else "srgb"


def _named(enum: Any, number: int) -> str:
    return enum.Name(number) if number in enum.values() else f"number {number}"


def bytes_of(plane: pb.Plane) -> int:
    return plane.width * plane.height * CHANNELS[plane.channels] * SAMPLES[plane.sample_type].itemsize


def receive(
    messages: Iterator[pb.HarmonizeRequest], start: pb.Start, chunk_bytes: int
) -> Iterator[float | Request]:
    """Read the planes' chunks and yield the fraction received after each, last of all the Request.

    Raises BadRequest for a chunk out of order, duplicated, too large or too many, and a stream that
    ends early or goes on after its last byte; OutOfMemory when the planes don't fit.
    """
    try:
        buffers = [np.empty(bytes_of(plane), np.uint8) for plane in start.planes]
    except MemoryError:
        raise OutOfMemory from None
    total, done = sum(buffer.nbytes for buffer in buffers), 0
    for index, (plane, buffer) in enumerate(zip(start.planes, buffers, strict=True)):
        name, filled = NAMES[plane.role], 0
        while filled < buffer.nbytes:
            chunk = _next_chunk(messages, f"after {filled:,} of the {name}'s {buffer.nbytes:,} bytes")
            data = chunk.data  # protobuf copies at each access
            _check_chunk(chunk, len(data), index, filled, buffer.nbytes, chunk_bytes, name)
            buffer[filled : filled + len(data)] = np.frombuffer(data, np.uint8)
            filled += len(data)
            done += len(data)
            yield done / total
    if next(messages, None) is not None:
        raise BadRequest("The stream goes on after the last byte of its last plane: close it there.")
    yield _request(start, buffers)


def _next_chunk(messages: Iterator[pb.HarmonizeRequest], where: str) -> pb.Chunk:
    message = next(messages, None)
    if message is None:
        raise BadRequest(f"The stream ended early, {where}: send every plane to its last byte.")
    kind = message.WhichOneof("message")
    if kind != "chunk":
        what = "a second start" if kind == "start" else "an empty message"
        raise BadRequest(f"The stream holds {what} {where}: only chunks may follow the start.")
    return message.chunk


def _check_chunk(
    chunk: pb.Chunk, length: int, index: int, filled: int, size: int, chunk_bytes: int, name: str
) -> None:
    if chunk.plane != index:
        raise BadRequest(
            f"A chunk of plane {chunk.plane} came where the {name} (plane {index}) was awaited: "
            "send the planes one after the other, in the order of the start."
        )
    if chunk.offset != filled:
        what = "twice or out of order" if chunk.offset < filled else "after a gap"
        raise BadRequest(
            f"A chunk of the {name} came {what} (it begins at byte {chunk.offset:,} instead of {filled:,}): "
            "send each byte once, in order."
        )
    if not length:
        raise BadRequest(f"A chunk of the {name} is empty: send at least one byte in each.")
    if length > chunk_bytes:
        raise BadRequest(
            f"A chunk of the {name} has {length:,} bytes and may have {chunk_bytes:,}: send smaller ones."
        )
    if filled + length > size:
        raise BadRequest(
            f"The {name} has {size:,} bytes and its chunks go on to {filled + length:,}: send no more."
        )


def _request(start: pb.Start, buffers: list[Pixels]) -> Request:
    arrays = {plane.role: _array(plane, buffer) for plane, buffer in zip(start.planes, buffers, strict=True)}
    planes = {plane.role: plane for plane in start.planes}
    composite, foreground = planes[pb.Plane.COMPOSITE], planes.get(pb.Plane.FOREGROUND)
    offset = (0, 0)
    if foreground:
        offset = (foreground.offset_x - composite.offset_x, foreground.offset_y - composite.offset_y)
    return Request(
        model=start.model,
        strength=start.strength if start.HasField("strength") else 1.0,
        transfer=transfer_of(composite),
        composite=arrays[pb.Plane.COMPOSITE],
        mask=arrays[pb.Plane.MASK],
        foreground=arrays.get(pb.Plane.FOREGROUND),
        foreground_offset=offset,
    )


def _array(plane: pb.Plane, buffer: Pixels) -> Pixels:
    channels = CHANNELS[plane.channels]
    shape = (plane.height, plane.width) if channels == 1 else (plane.height, plane.width, channels)
    pixels = buffer.view(SAMPLES[plane.sample_type]).reshape(shape)
    return swap_red_and_blue(pixels) if plane.channels in BLUE_FIRST else pixels


def swap_red_and_blue(pixels: Pixels) -> Pixels:
    """In place, a band of rows at a time: pictures are large."""
    rows = math.ceil(1_000_000 / pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows]
        red = band[..., 0].copy()
        band[..., 0] = band[..., 2]
        band[..., 2] = red
    return pixels


def result_header(start: pb.Start) -> pb.Plane:
    """What comes back: the foreground's form if one was sent, else the composite's."""
    planes = {plane.role: plane for plane in start.planes}
    header = pb.Plane()
    header.CopyFrom(planes.get(pb.Plane.FOREGROUND, planes[pb.Plane.COMPOSITE]))
    header.role = pb.Plane.RESULT
    return header


def result_bytes(pixels: Pixels, header: pb.Plane) -> memoryview:
    """The result's bytes in the header's channel order and sample type; may reorder `pixels` in place."""
    kind = SAMPLES[header.sample_type]
    if pixels.shape != (header.height, header.width, CHANNELS[header.channels]) or pixels.dtype != kind:
        raise TypeError(f"result is {pixels.shape} {pixels.dtype}, promised was {header}")
    plain = np.ascontiguousarray(pixels)
    if header.channels in BLUE_FIRST:
        plain = swap_red_and_blue(plain if plain.flags.writeable else plain.copy())
    return plain.reshape(-1).view(np.uint8).data
