"""From the stream's messages to a request: what `glihamba_proto.checks` demands is demanded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from glihamba import __version__
from glihamba.engine.request import Pixels, Request, bytes_of, pixels_of, sample_dtype
from glihamba.errors import BadRequest, ClientTooNew, OutOfMemory, refuse
from glihamba.models.registry import Record
from glihamba_proto import PROTOCOL, checks, formats
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.formats import CHANNELS, ROLES, SAMPLES, Channels, Role, SampleType, Size, Transfer


def check_start(start: pb.Start, pixel_limit: int) -> None:
    """Raises the HarmonizeError that says what is wrong with the job's description, if anything is."""
    if start.protocol > PROTOCOL:
        raise ClientTooNew(client=start.protocol, daemon=PROTOCOL, version=__version__)
    refuse(checks.strength(strength_of(start)))
    for plane in start.planes:
        _check_plane(plane, pixel_limit)
    refuse(checks.planes(Counter(map(role_of, start.planes))))
    planes = by_role(start)
    composite, mask, foreground = planes["composite"], planes["mask"], planes.get("foreground")
    refuse(checks.same_size(size_of(mask), size_of(composite)))
    refuse(checks.same_offset(offset_of(mask), offset_of(composite)))
    if foreground is not None:
        refuse(checks.same_transfer(transfer_of(composite), transfer_of(foreground)))


def _check_plane(plane: pb.Plane, pixel_limit: int) -> None:
    role = formats.name_of(ROLES, plane.role)
    if role is None:
        raise BadRequest(case="ROLE", number=plane.role)
    samples = formats.name_of(SAMPLES, plane.sample_type)
    refuse(checks.sample_type(role, samples, f"#{plane.sample_type}"))
    channels = formats.name_of(CHANNELS, plane.channels)
    refuse(checks.channels(role, channels, channels.upper() if channels else f"#{plane.channels}"))
    if plane.alpha == pb.Plane.PREMULTIPLIED:
        raise BadRequest(case="PREMULTIPLIED", plane=role)
    if plane.alpha not in pb.Plane.Alpha.values():
        raise BadRequest(case="ALPHA", plane=role, number=plane.alpha)
    refuse(checks.transfer(role, formats.transfer_of(plane.transfer), f"#{plane.transfer}"))
    if plane.icc_profile:
        raise BadRequest(case="ICC_PROFILE", plane=role)
    refuse(checks.size(role, size_of(plane), pixel_limit))


# A checked plane's own words.


def _known(name: Any) -> Any:
    assert name is not None
    return name


def role_of(plane: pb.Plane) -> Role:
    role: Role = _known(formats.name_of(ROLES, plane.role))
    return role


def samples_of(plane: pb.Plane) -> SampleType:
    samples: SampleType = _known(formats.name_of(SAMPLES, plane.sample_type))
    return samples


def channels_of(plane: pb.Plane) -> Channels:
    channels: Channels = _known(formats.name_of(CHANNELS, plane.channels))
    return channels


def transfer_of(plane: pb.Plane) -> Transfer:
    transfer: Transfer = _known(formats.transfer_of(plane.transfer))
    return transfer


def size_of(plane: pb.Plane) -> Size:
    return plane.width, plane.height


def offset_of(plane: pb.Plane) -> tuple[int, int]:
    return plane.offset_x, plane.offset_y


def byte_count_of(plane: pb.Plane) -> int:
    return formats.byte_count(size_of(plane), samples_of(plane), channels_of(plane))


def strength_of(start: pb.Start) -> float:
    return start.strength if start.HasField("strength") else 1.0


def by_role(start: pb.Start) -> dict[Role, pb.Plane]:
    return {role_of(plane): plane for plane in start.planes}


class Reception:
    """The planes of one job as they arrive: `take` the messages, then make the `request`."""

    def __init__(self, start: pb.Start, chunk_bytes: int) -> None:
        """`start` is checked; `chunk_bytes` is the most that one chunk may hold. Raises OutOfMemory."""
        self._start, self._chunk_bytes = start, chunk_bytes
        try:
            self._buffers = [np.empty(byte_count_of(plane), np.uint8) for plane in start.planes]
        except MemoryError:
            raise OutOfMemory from None

    def take(self, messages: Iterator[pb.HarmonizeRequest]) -> Iterator[float]:
        """Read every plane's chunks; yields the fraction received after each.

        Raises BadRequest for a chunk out of order, duplicated, too large or too many, and for a stream that
        ends early or goes on after its last byte.
        """
        total, done = sum(buffer.nbytes for buffer in self._buffers), 0
        for index, buffer in enumerate(self._buffers):
            filled = 0
            while filled < buffer.nbytes:
                chunk = self._next_chunk(messages, index, filled)
                data = chunk.data  # protobuf copies at each access
                self._check_chunk(chunk, len(data), index, filled)
                buffer[filled : filled + len(data)] = np.frombuffer(data, np.uint8)
                filled += len(data)
                done += len(data)
                yield done / total
        if next(messages, None) is not None:
            raise BadRequest(case="STREAM_LONG")

    def request(self, model: Record) -> Request:
        """The job, once everything has been taken."""
        arrays = {
            role_of(plane): pixels_of(buffer, size_of(plane), samples_of(plane), channels_of(plane))
            for plane, buffer in zip(self._start.planes, self._buffers, strict=True)
        }
        planes = by_role(self._start)
        left, top = offset_of(planes["composite"])
        x, y = offset_of(planes.get("foreground", planes["composite"]))
        return Request(
            model=model,
            strength=strength_of(self._start),
            transfer=transfer_of(planes["composite"]),
            composite=arrays["composite"],
            mask=arrays["mask"],
            foreground=arrays.get("foreground"),
            foreground_offset=(x - left, y - top),
        )

    def _next_chunk(self, messages: Iterator[pb.HarmonizeRequest], index: int, filled: int) -> pb.Chunk:
        message = next(messages, None)
        kind = message.WhichOneof("message") if message is not None else "end"
        if message is None or kind != "chunk":
            cases = {"end": "STREAM_SHORT", "start": "SECOND_START", None: "EMPTY_MESSAGE"}
            role, size = role_of(self._start.planes[index]), self._buffers[index].nbytes
            raise BadRequest(case=cases[kind], plane=role, filled=filled, size=size)
        return message.chunk

    def _check_chunk(self, chunk: pb.Chunk, length: int, index: int, filled: int) -> None:
        role, size = role_of(self._start.planes[index]), self._buffers[index].nbytes
        if chunk.plane != index:
            raise BadRequest(case="CHUNK_PLANE", plane=role, wanted=index, found=chunk.plane)
        if chunk.offset != filled:
            case = "CHUNK_REPEATED" if chunk.offset < filled else "CHUNK_GAP"
            raise BadRequest(case=case, plane=role, offset=chunk.offset, filled=filled)
        if not length:
            raise BadRequest(case="CHUNK_EMPTY", plane=role)
        if length > self._chunk_bytes:
            raise BadRequest(case="CHUNK_LARGE", plane=role, bytes=length, limit=self._chunk_bytes)
        if filled + length > size:
            raise BadRequest(case="PLANE_LONG", plane=role, size=size, end=filled + length)


def result_header(start: pb.Start) -> pb.Plane:
    """What comes back: the foreground's form if one was sent, else the composite's."""
    planes = by_role(start)
    header = pb.Plane()
    header.CopyFrom(planes.get("foreground", planes["composite"]))
    header.role = pb.Plane.RESULT
    return header


def result_bytes(pixels: Pixels, header: pb.Plane) -> memoryview:
    """The result's bytes in the header's channel order and sample type; may reorder `pixels` in place."""
    channels = channels_of(header)
    shape, kind = (header.height, header.width, CHANNELS[channels].count), sample_dtype(samples_of(header))
    if pixels.shape != shape or pixels.dtype != kind:
        raise TypeError(f"the result is {pixels.shape} {pixels.dtype}, but {header} was promised")
    return bytes_of(pixels, channels)
