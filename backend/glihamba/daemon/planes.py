"""From the stream's messages to a request: what `glihamba_proto.checks` demands is demanded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from glihamba import __version__
from glihamba.engine.contract import amounts_of, prediction_of
from glihamba.engine.request import (
    AS_PREDICTED,
    Amounts,
    Pixels,
    Prediction,
    Request,
    bytes_of,
    pixels_of,
    sample_dtype,
)
from glihamba.errors import BadRequest, ClientTooNew, OutOfMemory, refuse
from glihamba.models.registry import Record
from glihamba_proto import PROTOCOL, checks, formats
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.formats import (
    CHANNELS,
    ROLES,
    SAMPLES,
    TRANSFERS,
    Channels,
    Role,
    SampleType,
    Size,
    Transfer,
)
from glihamba_proto.shared_file import SharedFile


@dataclass(frozen=True)
class Header:
    """What the header of a plane says, once it is checked."""

    role: Role
    size: Size
    offset: tuple[int, int]
    sample_type: SampleType
    channels: Channels
    transfer: Transfer

    @property
    def byte_count(self) -> int:
        return formats.byte_count(self.size, self.sample_type, self.channels)


@dataclass(frozen=True)
class Description:
    """What the start of a job says, once it is checked. `headers` are in the order of their chunks."""

    strength: float
    headers: tuple[Header, ...]
    amounts: Amounts = AS_PREDICTED
    prediction: Prediction | None = None
    wants_pixels: bool = True

    def of(self, role: Role) -> Header | None:
        return next((header for header in self.headers if header.role == role), None)

    @property
    def composite(self) -> Header:
        return next(header for header in self.headers if header.role == "composite")

    @property
    def bytes_sent(self) -> int:
        """How many bytes the client sends, at least as many as come back."""
        return sum(header.byte_count for header in self.headers)

    @property
    def bytes_held(self) -> int:
        """How many bytes the job holds with its result."""
        return self.bytes_sent + self.result.byte_count

    @property
    def result(self) -> Header:
        """The form of what comes back: the foreground's if one is sent, else the composite's."""
        return self.of("foreground") or self.composite


def checked(start: pb.Start, pixel_limit: int, *, wants_pixels: bool = True) -> Description:
    """The job's description; raises the HarmonizeError that says what is wrong with it."""
    if start.protocol > PROTOCOL:
        raise ClientTooNew(client=start.protocol, daemon=PROTOCOL, version=__version__)
    strength = start.strength if start.HasField("strength") else 1.0
    refuse(checks.strength(strength))
    found = Description(
        strength,
        tuple(_checked(plane, pixel_limit) for plane in start.planes),
        amounts_of(start.amounts),
        prediction_of(start.transform) if start.HasField("transform") else None,
        wants_pixels,
    )
    refuse(checks.planes(Counter(header.role for header in found.headers)))
    composite, mask, foreground = found.composite, found.of("mask"), found.of("foreground")
    assert mask is not None
    refuse(checks.same_size(mask.size, composite.size))
    refuse(checks.same_offset(mask.offset, composite.offset))
    if foreground is not None:
        refuse(checks.same_transfer(composite.transfer, foreground.transfer))
    return found


def _checked(plane: pb.Plane, pixel_limit: int) -> Header:
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
    transfer = formats.transfer_of(plane.transfer)
    refuse(checks.transfer(role, transfer, f"#{plane.transfer}"))
    if plane.icc_profile:
        raise BadRequest(case="ICC_PROFILE", plane=role)
    size, offset = (plane.width, plane.height), (plane.offset_x, plane.offset_y)
    refuse(checks.size(role, size, pixel_limit))
    assert samples is not None
    assert channels is not None
    assert transfer is not None
    return Header(role, size, offset, samples, channels, transfer)


class Reception:
    """The planes of one job as they arrive: `take` the messages, then make the `request`."""

    def __init__(self, description: Description, chunk_bytes: int, file: SharedFile | None) -> None:
        """`chunk_bytes` is the most that one chunk may hold. `file`: the job's, if it has one.

        Raises OutOfMemory.
        """
        self._description, self._chunk_bytes, self._file = description, chunk_bytes, file
        self.has_stored = False  # whether the client uses the file
        try:
            self._buffers = [np.empty(header.byte_count, np.uint8) for header in description.headers]
        except MemoryError:
            raise OutOfMemory from None

    def take(self, messages: Iterator[pb.HarmonizeRequest]) -> Iterator[int]:
        """Read every plane's chunks; yields after each how many bytes there are.

        Raises BadRequest for a chunk out of order, duplicated, too large or too many, and for a stream that
        ends early.
        """
        done = 0
        for index, buffer in enumerate(self._buffers):
            filled = 0
            while filled < buffer.nbytes:
                chunk = self._next_chunk(messages, index, filled)
                data = chunk.data  # protobuf copies at each access
                length = chunk.stored or len(data)
                self._check_chunk(chunk, len(data), index, filled)
                part = buffer[filled : filled + length]
                if chunk.stored:
                    self._read_stored(part, done, index)
                else:
                    part[:] = np.frombuffer(data, np.uint8)
                filled += length
                done += length
                yield done

    def request(self, model: Record) -> Request:
        """The job, once everything has been taken."""
        described = self._description
        arrays = {
            header.role: pixels_of(buffer, header.size, header.sample_type, header.channels)
            for header, buffer in zip(described.headers, self._buffers, strict=True)
        }
        (left, top), (x, y) = described.composite.offset, described.result.offset
        return Request(
            model=model,
            strength=described.strength,
            transfer=described.composite.transfer,
            composite=arrays["composite"],
            mask=arrays["mask"],
            foreground=arrays.get("foreground"),
            foreground_offset=(x - left, y - top),
            prediction=described.prediction,
            amounts=described.amounts,
            wants_pixels=described.wants_pixels,
        )

    def _next_chunk(self, messages: Iterator[pb.HarmonizeRequest], index: int, filled: int) -> pb.Chunk:
        header, message = self._description.headers[index], next(messages, None)
        where: dict[str, Any] = {"plane": header.role, "filled": filled, "size": header.byte_count}
        if message is None:
            raise BadRequest(case="STREAM_SHORT", **where)
        kind = message.WhichOneof("message")
        if kind != "chunk":
            raise BadRequest(case="SECOND_START" if kind == "start" else "EMPTY_MESSAGE", **where)
        return message.chunk

    def _read_stored(self, part: Pixels, position: int, index: int) -> None:
        role = self._description.headers[index].role
        if self._file is None:
            raise BadRequest(case="STORED_NOWHERE", plane=role)
        try:
            self._file.read(part.data, position)
        except OSError as error:
            raise BadRequest(case="STORED_LOST", plane=role, reason=error.strerror or error) from None
        self.has_stored = True

    def _check_chunk(self, chunk: pb.Chunk, inline: int, index: int, filled: int) -> None:
        """`inline`: how many bytes the chunk itself holds."""
        header = self._description.headers[index]
        role, size = header.role, header.byte_count
        length = chunk.stored or inline
        if chunk.plane != index:
            raise BadRequest(case="CHUNK_PLANE", plane=role, wanted=index, found=chunk.plane)
        if chunk.offset != filled:
            case = "CHUNK_REPEATED" if chunk.offset < filled else "CHUNK_GAP"
            raise BadRequest(case=case, plane=role, offset=chunk.offset, filled=filled)
        if not length:
            raise BadRequest(case="CHUNK_EMPTY", plane=role)
        if inline > self._chunk_bytes:
            raise BadRequest(case="CHUNK_LARGE", plane=role, bytes=inline, limit=self._chunk_bytes)
        if inline and chunk.stored:
            raise BadRequest(case="STORED_TWICE", plane=role)
        if filled + length > size:
            raise BadRequest(case="PLANE_LONG", plane=role, size=size, end=filled + length)


def no_more(messages: Iterator[pb.HarmonizeRequest]) -> None:
    """Wait for the client to half-close; raises BadRequest if it sends something else."""
    if next(messages, None) is not None:
        raise BadRequest(case="STREAM_LONG")


def result_header(result: Header) -> pb.Plane:
    """The header of what comes back, as it is sent."""
    numbers: dict[str, Any] = {
        "sample_type": SAMPLES[result.sample_type].number,
        "channels": CHANNELS[result.channels].number,
        "transfer": TRANSFERS[result.transfer].number,
    }
    (width, height), (x, y) = result.size, result.offset
    return pb.Plane(
        role=pb.Plane.RESULT,
        width=width,
        height=height,
        offset_x=x,
        offset_y=y,
        alpha=pb.Plane.STRAIGHT,
        **numbers,
    )


def result_bytes(pixels: Pixels, result: Header) -> memoryview:
    """The result's bytes in the header's channel order and sample type; may reorder `pixels` in place."""
    width, height = result.size
    shape = height, width, CHANNELS[result.channels].channels
    if pixels.shape != shape or pixels.dtype != sample_dtype(result.sample_type):
        raise TypeError(f"the result is {pixels.shape} {pixels.dtype}, but {result} was promised")
    return bytes_of(pixels, result.channels)
