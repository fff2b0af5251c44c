"""Planes as chunks of the contract, for both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from glihamba_proto import harmonizer_pb2 as pb
from glihamba_proto.shared_file import PIECE, SharedFile


def chunks(planes: Iterable[memoryview], chunk_bytes: int, file: SharedFile | None) -> Iterator[pb.Chunk]:
    """Every plane's bytes: stored in `file` as long as it takes them, then in chunks of `chunk_bytes`."""
    position = 0
    for index, data in enumerate(planes):
        offset = 0
        while offset < len(data):
            chunk = pb.Chunk(plane=index, offset=offset)
            part = data[offset : offset + PIECE]
            if file is not None and _is_stored(file, part, position):
                chunk.stored = len(part)
            else:
                file, part = None, data[offset : offset + chunk_bytes]
                chunk.data = bytes(part)
            offset += len(part)
            position += len(part)
            yield chunk


def _is_stored(file: SharedFile, part: memoryview, position: int) -> bool:
    try:
        file.write(part, position)
    except OSError:  # the disk is full, or the person's share of it
        return False
    return True
