"""A capture as messages of the contract, and messages as a result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from glihamba_client.errors import ClientError
from glihamba_client.host import Capture, Harmonized, Plane, Progress
from glihamba_proto import formats, messages, shared_file
from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.chunks import chunks
from glihamba_proto.formats import CHANNELS, ROLES, SAMPLES, TRANSFERS, Role
from glihamba_proto.messages import Note
from glihamba_proto.shared_file import SharedFile

# A job of fewer bytes is not worth the answer that a client waits for before it may store them.
FEWEST_STORED = 1 << 20


def first_request(start: Any, capture: Capture, shared_files: bool) -> Any:
    """`start` with the planes' headers. `shared_files`: whether the daemon has such files."""
    for role, plane in zip(ROLES, capture.planes):  # noqa: B905 - the foreground is optional
        start.planes.append(_header(role, plane))
    start.shared_file = shared_files and shared_file.AVAILABLE and capture.byte_count >= FEWEST_STORED
    return pb.HarmonizeRequest(start=start)


def pixel_requests(capture: Capture, chunk_bytes: int, file: SharedFile | None) -> Iterator[Any]:
    """Every plane's bytes, in `file` or in chunks of at most `chunk_bytes`."""
    planes = [memoryview(plane.data).cast("B") for plane in capture.planes]
    for chunk in chunks(planes, chunk_bytes, file):
        yield pb.HarmonizeRequest(chunk=chunk)


def picture(role: Role, plane: Plane) -> Any:
    """A plane and its bytes in one message."""
    return pb.Picture(plane=_header(role, plane), data=bytes(memoryview(plane.data).cast("B")))


class Assembler:
    """Takes the daemon's answers as they come; has the result when the end record is there.

    `offer` is the daemon's `SharedFile` when it has come. `file` is the file that the answers may be in.
    `whole` is set when all of the result's pixels are there. Belongs to one event loop.
    """

    def __init__(self, report: Callable[[Progress], None], language: str) -> None:
        self._report, self._language = report, language
        self.offer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.file: SharedFile | None = None
        self.whole = asyncio.Event()
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
        elif kind == "shared_file":
            if not self.offer.done():
                self.offer.set_result(message.shared_file)
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
            warnings=warnings(end, self._language),
            transform=end.transform if end.HasField("transform") else None,
        )

    def _begin(self, header: Any) -> None:
        if self._header is not None:
            raise ClientError("BAD_RESULT")
        self._header = header
        self._pixels = bytearray(_plane(header, b"").byte_count)
        self._view = memoryview(self._pixels)

    def _add(self, chunk: Any) -> None:
        end = self._filled + (chunk.stored or len(chunk.data))
        if chunk.offset != self._filled or end > len(self._pixels):
            raise ClientError("BAD_RESULT")
        part = self._view[self._filled : end]  # the bytearray itself would copy first
        if chunk.stored:
            self._read_stored(part)
        else:
            part[:] = chunk.data
        self._filled = end
        if end == len(self._pixels):
            self.whole.set()

    def _read_stored(self, part: memoryview) -> None:
        if self.file is None:
            raise ClientError("BAD_RESULT")
        try:
            self.file.read(part, self._filled)
        except OSError as error:
            raise ClientError("BAD_RESULT") from error


def _header(role: Role, plane: Plane) -> Any:
    numbers: dict[str, Any] = {
        "role": ROLES[role].number,
        "sample_type": SAMPLES[plane.sample_type].number,
        "channels": CHANNELS[plane.channels].number,
        "transfer": TRANSFERS[plane.transfer].number,
    }
    x, y = plane.offset
    return pb.Plane(
        width=plane.width, height=plane.height, offset_x=x, offset_y=y, alpha=pb.Plane.STRAIGHT, **numbers
    )


def _plane(header: Any, pixels: bytes | bytearray) -> Plane:
    sample_type = formats.name_of(SAMPLES, header.sample_type)
    channels = formats.name_of(CHANNELS, header.channels)
    transfer = formats.transfer_of(header.transfer)
    if sample_type is None or channels is None or transfer is None:
        raise ClientError("BAD_RESULT")
    offset = header.offset_x, header.offset_y
    return Plane(header.width, header.height, sample_type, channels, pixels, offset, transfer)


def note_of(sent: Any, sentence: str) -> Note:
    """A note of the contract as the catalogue's, with the daemon's English sentence."""
    return Note(sent.message, dict(sent.fields), sentence)


def notice(info: Any) -> Note | None:
    """What a daemon of this `ServerInfo` has to say before any job, such as why the GPU is not used."""
    return note_of(info.notice_note, info.notice) if info.notice else None


def warnings(end: Any, language: str) -> tuple[str, ...]:
    """The sentences of the contract's `End`; an older daemon sends them in English only."""
    sent = [*end.warning_notes, *[pb.Note()] * (len(end.warnings) - len(end.warning_notes))]
    notes = map(note_of, sent, end.warnings)
    return tuple(messages.sentence(note, language) for note in notes)
