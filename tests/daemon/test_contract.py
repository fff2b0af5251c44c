"""Requests that break the contract are refused with a code and a sentence, and the daemon keeps running."""

# ruff: noqa: E501 - a case is a line of its table

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from glihamba import __version__
from glihamba_proto import harmonizer_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def without_last_chunk(messages: list[Any]) -> list[Any]:
    return messages[:-1]


def with_more(**fields: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda messages: [*messages, pb.HarmonizeRequest(chunk=pb.Chunk(**fields))]


def swapped(messages: list[Any]) -> list[Any]:
    return [messages[0], messages[2], messages[1], *messages[3:]]


def planes_swapped(messages: list[Any]) -> list[Any]:
    return [messages[0], *messages[3:], *messages[1:3]]


def doubled(messages: list[Any]) -> list[Any]:
    return [*messages[:2], *messages[1:]]


def oversized(messages: list[Any]) -> list[Any]:
    return [messages[0], pb.HarmonizeRequest(chunk=pb.Chunk(data=bytes(4097))), *messages[2:]]


def overlong(messages: list[Any]) -> list[Any]:
    messages[2].chunk.data += b"more"
    return messages


def shortened(messages: list[Any]) -> list[Any]:
    return [messages[0], pb.HarmonizeRequest(chunk=pb.Chunk(data=b"")), *messages[1:]]


# A composite of 40 x 60 RGB bytes comes in two chunks (4096 and 3104 bytes), its mask in one (2400).
BROKEN_STREAMS = {
    "zero bytes": (lambda m: [], "The stream ended before it began. Send a start, then the planes' chunks."),
    "no start": (lambda m: m[1:], "The stream does not begin with a start. Send it first, then the planes' chunks."),
    "no chunks": (lambda m: m[:1], "The stream ended early, after 0 of the composite's 7,200 bytes. Send every plane to its last byte."),
    "truncated": (lambda m: m[:2], "The stream ended early, after 4,096 of the composite's 7,200 bytes. Send every plane to its last byte."),
    "no mask": (without_last_chunk, "The stream ended early, after 0 of the mask's 2,400 bytes. Send every plane to its last byte."),
    "second start": (lambda m: [m[0], *m], "The stream holds a second start after 0 of the composite's 7,200 bytes. Send only chunks after the start."),
    "empty message": (lambda m: [m[0], pb.HarmonizeRequest(), *m[1:]], "The stream holds an empty message after 0 of the composite's 7,200 bytes. Send only chunks after the start."),
    "out of order": (swapped, "A chunk of the composite came after a gap: it begins at byte 4,096 instead of 0. Send each byte once, in order."),
    "planes out of order": (planes_swapped, "A chunk of plane 1 came where plane 0 (the composite) was expected. Send the planes one after the other, in the order of the start."),
    "duplicated": (doubled, "A chunk of the composite came twice or out of order: it begins at byte 0 instead of 4,096. Send each byte once, in order."),
    "oversized chunk": (oversized, "A chunk of the composite has 4,097 bytes, but at most 4,096 are accepted. Send smaller chunks."),
    "oversized plane": (overlong, "The composite has 7,200 bytes, but its chunks go on to 7,204. Send no more."),
    "empty chunk": (shortened, "A chunk of the composite is empty. Send at least one byte in each."),
    "after the end": (with_more(plane=1, offset=2400, data=b"x"), "The stream goes on after the last byte of its last plane. Close it there."),
    "plane nobody announced": (lambda m: [m[0], pb.HarmonizeRequest(chunk=pb.Chunk(plane=9, data=b"x"))], "A chunk of plane 9 came where plane 0 (the composite) was expected. Send the planes one after the other, in the order of the start."),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_STREAMS)
def test_a_broken_stream_is_refused(peer: Any, said: SimpleNamespace, case: str) -> None:
    breaking, sentence = BROKEN_STREAMS[case]
    assert peer.refusal(breaking(said.plain_job())) == (INVALID, "BAD_REQUEST", sentence)
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


BROKEN_STARTS = {
    "no planes": (lambda s: s.ClearField("planes"), "A job has exactly one composite plane, but this one has 0."),
    "no mask": (lambda s: s.planes.pop(), "A job has exactly one mask plane, but this one has 0."),
    "two masks": (lambda s: s.planes.append(s.planes[1]), "A job has exactly one mask plane, but this one has 2."),
    "unknown role": (lambda s: setattr(s.planes[0], "role", 77), "A plane's role must be composite, mask or foreground, but is number 77."),
    "result role": (lambda s: setattr(s.planes[0], "role", 4), "A plane's role must be composite, mask or foreground, but is number 4."),
    "unknown samples": (lambda s: setattr(s.planes[0], "sample_type", 9), "The composite's sample type must be uint8, uint16 or float32, but is #9."),
    "unknown channels": (lambda s: setattr(s.planes[0], "channels", 9), "The composite's channels must be RGB, RGBA, BGRA, BGR, but are #9."),
    "grey composite": (lambda s: setattr(s.planes[0], "channels", 1), "The composite's channels must be RGB, RGBA, BGRA, BGR, but are GRAY."),
    "coloured mask": (lambda s: setattr(s.planes[1], "channels", 2), "The mask's channels must be GRAY, but are RGB."),
    "premultiplied": (lambda s: setattr(s.planes[0], "alpha", 2), "The composite is premultiplied by its alpha. Send straight (unassociated) alpha."),
    "unknown alpha": (lambda s: setattr(s.planes[0], "alpha", 5), "The composite's alpha must be straight, but is number 5."),
    "unknown transfer": (lambda s: setattr(s.planes[0], "transfer", 5), "The composite's transfer function must be sRGB or linear, but is #5."),
    "profile": (lambda s: setattr(s.planes[0], "icc_profile", b"acsp"), "The composite carries an ICC profile. Convert it to sRGB primaries first and send none."),
    "no width": (lambda s: setattr(s.planes[1], "width", 0), "The mask has no pixels (0 x 40)."),
    "mask elsewhere": (lambda s: setattr(s.planes[1], "offset_x", -3), "The mask and the composite begin at different places. Give them the same offset."),
    "too strong": (lambda s: setattr(s, "strength", 1.6), "The strength must be from 0 (unchanged) to 1.5 (1 is the full correction), but is 1.6."),
    "strength of nothing": (lambda s: setattr(s, "strength", float("nan")), "The strength must be from 0 (unchanged) to 1.5 (1 is the full correction), but is nan."),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_STARTS)
def test_a_broken_start_is_refused_before_any_pixel(peer: Any, said: SimpleNamespace, case: str) -> None:
    breaking, sentence = BROKEN_STARTS[case]
    messages = said.plain_job()
    breaking(messages[0].start)
    assert peer.refusal(messages[:1]) == (INVALID, "BAD_REQUEST", sentence)


def test_two_transfer_functions_in_one_job(peer: Any, said: SimpleNamespace) -> None:
    messages = said.plain_job()
    layer = said.plane(pb.Plane.FOREGROUND, said.picture(), transfer=pb.Plane.LINEAR)
    messages[0].start.planes.append(layer)
    sentence = (
        "The foreground and the composite have different transfer functions. Send both with the same one."
    )
    assert peer.refusal(messages) == (INVALID, "BAD_REQUEST", sentence)
    messages[0].start.planes.append(layer)
    sentence = "A job has at most one foreground plane, but this one has 2."
    assert peer.refusal(messages) == (INVALID, "BAD_REQUEST", sentence)


def test_mask_of_another_size(peer: Any, said: SimpleNamespace) -> None:
    sentence = "The mask is 61 x 40 pixels and the composite is 60 x 40 pixels. Make them the same size."
    messages = said.plain_job(mask=said.object_mask(40, 61))
    assert peer.refusal(messages) == (INVALID, "SIZE_MISMATCH", sentence)


def test_too_many_pixels(
    start: Callable[..., Any], connect: Callable[..., Any], said: SimpleNamespace
) -> None:
    peer = connect(start(pixel_limit=2399))
    assert peer.refusal(said.plain_job()) == (
        EXHAUSTED,
        "TOO_LARGE",
        "The composite has 60 x 40 pixels, but at most 2,399 are accepted. Use a smaller picture, or raise GLIHAMBA_PIXEL_LIMIT and run “glihamba stop”.",
    )


def test_a_message_beyond_grpcs_limit_ends_only_its_call(peer: Any, said: SimpleNamespace) -> None:
    messages = said.plain_job()
    messages[1].chunk.data = bytes(9 << 20)
    assert peer.refusal(messages) == (
        INVALID,
        "BAD_REQUEST",
        "A message has 9,437,194 bytes, but at most 8,388,608 are accepted. Send the planes in smaller chunks.",
    )
    messages[1].chunk.data = bytes(17 << 20)
    status, code, details = peer.refusal(messages)
    assert (status, code) == (EXHAUSTED, ""), "gRPC refuses it before the daemon sees it"
    assert "larger than max" in details, "our client takes it for BAD_REQUEST by these words"
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


def test_bytes_that_are_no_message(peer: Any, said: SimpleNamespace) -> None:
    raw = peer.channel.stream_stream("/glihamba.v1.Harmonizer/Harmonize")
    sentence = (
        "The stream holds a message that cannot be read. Update GLIHamba and this plugin to the same version."
    )
    for call in (raw, peer.channel.stream_stream("/glihamba.v1.Harmonizer/Predict")):
        with pytest.raises(grpc.RpcError) as raised:
            list(call(iter([b"\xff\xff\xff\xff"]), metadata=peer.metadata))
        assert said.told(raised.value) == (INVALID, "BAD_REQUEST", sentence)
    assert peer.harmonize(said.plain_job()).end.model == "statistics"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda composite, mask: mask.fill(0), "EMPTY_MASK", "mask is empty"),
        (lambda composite, mask: mask.fill(1), "FULL_MASK", "covers the whole picture"),
        (
            lambda composite, mask: composite.fill(np.nan),
            "NOT_FINITE",
            "composite holds values that are not numbers",
        ),
        (
            lambda composite, mask: mask[3:4].fill(np.inf),
            "NOT_FINITE",
            "mask holds values that are not numbers",
        ),
    ],
)
def test_what_the_pipeline_refuses(
    peer: Any, said: SimpleNamespace, change: Callable[[Any, Any], None], code: str, words: str
) -> None:
    composite, mask = said.picture(kind="float32"), said.object_mask(kind="float32")
    change(composite, mask)
    status, given, sentence = peer.refusal(said.plain_job(composite, mask))
    assert (status, given) == (INVALID, code)
    assert words in sentence


def test_one_pixel(peer: Any, said: SimpleNamespace) -> None:
    one = np.full((1, 1, 3), 9, np.uint8)
    assert peer.refusal(said.plain_job(one, one[..., 0] * 0))[1] == "EMPTY_MASK"
    assert peer.refusal(said.plain_job(one, one[..., 0] * 0 + 255))[1] == "FULL_MASK"


def test_a_newer_client_is_told_which_side_to_update(peer: Any, said: SimpleNamespace) -> None:
    assert peer.refusal(said.plain_job(protocol=2)) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "CLIENT_TOO_NEW",
        f"This plugin or program speaks protocol 2, and the daemon (version {__version__}) only 1. Update the daemon by running the newer install.py.",
    )
