"""A capture as messages of the contract, and messages as a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Channels, Harmonized, Plane, Progress, SampleType, Transfer
from glihamba_proto import harmonizer_pb2 as pb

_SAMPLES: dict[SampleType, Any] = {
    "uint8": pb.Plane.UINT8,
    "uint16": pb.Plane.UINT16,
    "float32": pb.Plane.FLOAT32,
}
_CHANNELS: dict[Channels, Any] = {
    "gray": pb.Plane.GRAY,
    "rgb": pb.Plane.RGB,
    "rgba": pb.Plane.RGBA,
    "bgra": pb.Plane.BGRA,
    "bgr": pb.Plane.BGR,
}
_TRANSFERS: dict[Transfer, Any] = {"srgb": pb.Plane.SRGB, "linear": pb.Plane.LINEAR}


def requests(start: Any, capture: Capture, chunk_bytes: int) -> Iterator[Any]:
    """`start` with the planes' headers, then every plane's bytes in chunks of at most `chunk_bytes`."""
    roles = (pb.Plane.COMPOSITE, pb.Plane.MASK, pb.Plane.FOREGROUND)
    for role, plane in zip(roles, capture.planes):  # noqa: B905 - the foreground is optional
        start.planes.append(_header(plane, role))
    yield pb.HarmonizeRequest(start=start)
    for index, plane in enumerate(capture.planes):
        pixels = memoryview(plane.data).cast("B")
        for offset in range(0, len(pixels), chunk_bytes):
            data = bytes(pixels[offset : offset + chunk_bytes])
            yield pb.HarmonizeRequest(chunk=pb.Chunk(plane=index, offset=offset, data=data))


class Assembler:
    """Takes the daemon's answers as they come; has the result when the end record is there."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._header: Any = None
        self._pixels = bytearray()
        self._view = memoryview(self._pixels)
        self._filled = 0
        self._fraction = 0.0
        self._end: Any = None

    def take(self, message: Any) -> None:
        """Raises `ClientError` BAD_RESULT for an answer that breaks the contract."""
        kind = message.WhichOneof("message")
        if kind == "progress":
            known = pb.Progress.Stage.values()
            stage = message.progress.stage
            name = pb.Progress.Stage.Name(stage) if stage in known else "PREPARING"
            self._fraction = max(self._fraction, message.progress.fraction)
            self._report(Progress(name, self._fraction, message.progress.queue_position))
        elif kind == "accepted":
            self._report(Progress("QUEUED", self._fraction, message.accepted.queue_position))
        elif kind == "result":
            self._begin(message.result)
        elif kind == "chunk":
            self._add(message.chunk)
        elif kind == "end":
            self._end = message.end

    def harmonized(self) -> Harmonized:
        """The result; raises `ClientError` BAD_RESULT when not all of it has come."""
        if self._end is None or self._header is None or self._filled != len(self._pixels):
            raise ClientError("BAD_RESULT")
        end = self._end
        return Harmonized(
            plane=_plane(self._header, self._pixels),
            model=end.model,
            device=end.device.name or end.device.kind,
            seconds_queued=end.seconds_queued,
            seconds_computed=end.seconds_computed,
            warnings=tuple(end.warnings),
        )

    def _begin(self, header: Any) -> None:
        if self._header is not None:
            raise ClientError("BAD_RESULT")
        self._header = header
        self._pixels = bytearray(_plane(header, b"").byte_count)
        self._view = memoryview(self._pixels)

    def _add(self, chunk: Any) -> None:
        end = self._filled + len(chunk.data)
        if chunk.offset != self._filled or end > len(self._pixels):
            raise ClientError("BAD_RESULT")
        self._view[self._filled : end] = chunk.data  # into the view: the bytearray itself would copy first
        self._filled = end


def _header(plane: Plane, role: Any) -> Any:
    return pb.Plane(
        role=role,
        width=plane.width,
        height=plane.height,
        offset_x=plane.offset[0],
        offset_y=plane.offset[1],
        sample_type=_SAMPLES[plane.sample_type],
        channels=_CHANNELS[plane.channels],
        alpha=pb.Plane.STRAIGHT,
        transfer=_TRANSFERS[plane.transfer],
    )


def _plane(header: Any, pixels: bytes | bytearray) -> Plane:
    samples = {value: name for name, value in _SAMPLES.items()}
    channels = {value: name for name, value in _CHANNELS.items()}
    if header.sample_type not in samples or header.channels not in channels:
        raise ClientError("BAD_RESULT")
    return Plane(
        header.width,
        header.height,
        samples[header.sample_type],
        channels[header.channels],
        pixels,
        (header.offset_x, header.offset_y),
        "linear" if header.transfer == pb.Plane.LINEAR else "srgb",
    )
